package source

// most bounds a list, as the API does.
func (c *clusterPolicy) most(field string, n, most int, what string) {
	if n > most {
		c.add(field, "has %d %s: expected at most %d", n, what, most)
	}
}

// oneOf checks that one of the fields is set; names are those that are.
func (c *clusterPolicy) oneOf(field string, names []string, expected string) bool {
	switch len(names) {
	case 1:
		return true
	case 0:
		c.lacks(field, field, "is empty: expected %s", expected)
	default:
		c.add(field, "has both %s and %s: make them items of their own", names[0], names[1])
	}
	return false
}

// namesOf returns the names of those that are set.
func namesOf(fields ...named) []string {
	var out []string
	for _, f := range fields {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}

// named is a field, and whether it is set.
type named struct {
	name string
	set  bool
}

// plainStrings turns texts of a type of an API into plain ones; nil stays nil.
func plainStrings[T ~string](in []T) []string {
	if in == nil {
		return nil
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}
