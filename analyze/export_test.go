package analyze

import "pgregory.net/rapid"

// DrawL4Set draws a set of connections.
func DrawL4Set(t *rapid.T) L4Set {
	set := drawL4(t, "set")
	if rapid.Bool().Draw(t, "complement") {
		return set.Complement()
	}
	return set
}
