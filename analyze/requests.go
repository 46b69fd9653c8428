package analyze

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// Requests are HTTP requests: those of one of the methods, to one of the paths.
type Requests struct {
	Methods []string `json:"methods,omitempty"` // sorted; none: any
	Paths   []Path   `json:"paths,omitempty"`   // none: any
}

// Path is a path as rules compare it, or a beginning of paths that ends with a
// segment: "/a" is that of "/a" and "/a/b", and not of "/ab".
type Path struct {
	Exact  string `json:"exact,omitempty"`
	Prefix string `json:"prefix,omitempty"` // one of them is empty
}

// String returns "GET,POST /items/...", or "GET" for any path.
func (r Requests) String() string {
	words := make([]string, 0, len(r.Paths))
	for _, p := range r.Paths {
		switch {
		case p.Exact != "":
			words = append(words, p.Exact)
		default:
			words = append(words, strings.TrimSuffix(p.Prefix, "/")+"/...")
		}
	}
	methods, paths := strings.Join(r.Methods, ","), strings.Join(words, ",")
	switch {
	case methods == "" && paths == "":
		return "any"
	case methods == "":
		return paths
	case paths == "":
		return methods
	}
	return methods + " " + paths
}

// requests is those of one of several; nil is all requests there are, and a list
// of none is none. It has one form: see requestsOf.
type requests []Requests

// all reports whether they are all requests there are.
func (r requests) all() bool { return r == nil }

// compare orders lists of requests; it returns 0 for the same ones only.
func (r requests) compare(o requests) int { return slices.CompareFunc(r, o, Requests.compare) }

func (r Requests) compare(o Requests) int {
	return cmp.Or(slices.Compare(r.Methods, o.Methods), slices.CompareFunc(r.Paths, o.Paths, comparePaths))
}

// contain reports whether a request is one of them.
func (r requests) contain(q *policy.HTTPRequest) bool {
	return r.all() || slices.ContainsFunc(r, func(x Requests) bool {
		return (len(x.Methods) == 0 || slices.Contains(x.Methods, q.Method)) &&
			(len(x.Paths) == 0 || slices.ContainsFunc(x.Paths, func(p Path) bool { return policy.HTTPPath(p).Matches(q.Path) }))
	})
}

// hashInto adds the requests to a hash.
func (r requests) hashInto(h *maphash.Hash) {
	for _, x := range r {
		maphash.WriteComparable(h, [2]int{len(x.Methods), len(x.Paths)})
		for _, m := range x.Methods {
			maphash.WriteComparable(h, m)
		}
		for _, p := range x.Paths {
			maphash.WriteComparable(h, p)
		}
	}
}

func (r *requests) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	r.hashInto(&h)
	return h.Sum64()
}

// matchOf returns the requests that a rule matches.
func matchOf(m *policy.HTTPMatch) requests {
	var r Requests
	if !slices.Contains(m.Methods, "*") {
		r.Methods = slices.Clone(m.Methods)
	}
	for _, p := range m.Paths {
		if p.Exact != "" {
			r.Paths = append(r.Paths, Path{Exact: p.Exact})
		} else {
			r.Paths = append(r.Paths, Path{Prefix: segments(p.Prefix)})
		}
	}
	return requestsOf([]Requests{r})
}

// segments returns a prefix without the slash at its end, but for "/" itself.
func segments(prefix string) string {
	if s := strings.TrimSuffix(prefix, "/"); s != "" {
		return s
	}
	return "/"
}

// requestsOf brings a list into its one form: sorted, without what others hold.
// It takes the list over.
func requestsOf(list []Requests) requests {
	for i := range list {
		r := &list[i]
		slices.Sort(r.Methods)
		r.Methods = slices.Compact(r.Methods)
		slices.SortFunc(r.Paths, comparePaths)
		r.Paths = slices.Compact(r.Paths)
		r.Paths = slices.DeleteFunc(slices.Clone(r.Paths), func(p Path) bool {
			return slices.ContainsFunc(r.Paths, func(q Path) bool { return p != q && q.holds(p) })
		})
		if len(r.Methods) == 0 && len(r.Paths) == 0 {
			return nil
		}
	}
	slices.SortFunc(list, func(a, b Requests) int {
		return cmp.Or(strings.Compare(a.String(), b.String()), a.compare(b))
	})
	list = slices.CompactFunc(list, func(a, b Requests) bool { return a.compare(b) == 0 })
	out := requests{}
	for i := range list {
		if !slices.ContainsFunc(list, func(o Requests) bool { return o.compare(list[i]) != 0 && o.hold(&list[i]) }) {
			out = append(out, list[i])
		}
	}
	return out
}

func comparePaths(a, b Path) int {
	return cmp.Or(strings.Compare(a.Exact, b.Exact), strings.Compare(a.Prefix, b.Prefix))
}

// hold reports whether all of the other requests are among these.
func (r Requests) hold(o *Requests) bool {
	if len(r.Methods) > 0 && (len(o.Methods) == 0 || slices.ContainsFunc(o.Methods, func(m string) bool { return !slices.Contains(r.Methods, m) })) {
		return false
	}
	if len(r.Paths) == 0 {
		return true
	}
	return len(o.Paths) > 0 && !slices.ContainsFunc(o.Paths, func(p Path) bool {
		return !slices.ContainsFunc(r.Paths, func(q Path) bool { return q.holds(p) })
	})
}

// holds reports whether all that is of another path is of this one.
func (p Path) holds(o Path) bool {
	if o.Exact != "" {
		return policy.HTTPPath(p).Matches(o.Exact)
	}
	return p.Exact == "" && policy.HTTPPath(p).Matches(o.Prefix)
}

// or returns the requests of either.
func (r requests) or(o requests) requests {
	if r.all() || o.all() {
		return nil
	}
	return requestsOf(cloned(r, o))
}

// and returns the requests of both.
func (r requests) and(o requests) requests {
	switch {
	case r.all():
		return o
	case o.all():
		return r
	}
	var list []Requests
	for _, a := range r {
		for _, b := range o {
			if c, some := a.and(b); some {
				list = append(list, c)
			}
		}
	}
	return requestsOf(list)
}

// and returns the requests of both; false if there are none.
func (r Requests) and(o Requests) (Requests, bool) {
	out := Requests{Methods: slices.Clone(r.Methods), Paths: slices.Clone(r.Paths)}
	switch {
	case len(r.Methods) == 0:
		out.Methods = slices.Clone(o.Methods)
	case len(o.Methods) > 0:
		out.Methods = slices.DeleteFunc(out.Methods, func(m string) bool { return !slices.Contains(o.Methods, m) })
		if len(out.Methods) == 0 {
			return out, false
		}
	}
	switch {
	case len(r.Paths) == 0:
		out.Paths = slices.Clone(o.Paths)
	case len(o.Paths) > 0:
		out.Paths = nil
		for _, p := range r.Paths {
			for _, q := range o.Paths {
				switch {
				case p.holds(q):
					out.Paths = append(out.Paths, q)
				case q.holds(p):
					out.Paths = append(out.Paths, p)
				}
			}
		}
		return out, len(out.Paths) > 0
	}
	return out, true
}

// cloned returns one list of two, whose parts may be changed.
func cloned(lists ...requests) []Requests {
	var out []Requests
	for _, list := range lists {
		for _, r := range list {
			out = append(out, Requests{slices.Clone(r.Methods), slices.Clone(r.Paths)})
		}
	}
	return out
}

// String returns "GET /items/...; POST /orders".
func (r requests) String() string {
	if r != nil && len(r) == 0 {
		return "no request"
	}
	words := make([]string, len(r))
	for i := range r {
		words[i] = r[i].String()
	}
	return strings.Join(words, "; ")
}
