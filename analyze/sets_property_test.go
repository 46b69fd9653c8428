package analyze

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
)

var (
	somePaths   = []string{"", "/", "/a", "/a/b", "/ab", "/a/b/c", "/c"}
	someMethods = []string{"GET", "POST", "PURGE"}
)

// drawRequests draws requests as rules have them.
func drawRequests(t *rapid.T, label string) (requests, func(method, path string) bool) {
	var list []*policy.HTTPMatch
	all := requests{}
	for range rapid.IntRange(0, 3).Draw(t, label) {
		m := &policy.HTTPMatch{
			Methods: rapid.SliceOfN(rapid.SampledFrom(append([]string{"*"}, someMethods...)), 0, 2).Draw(t, "methods"),
			Paths: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.HTTPPath {
				p := rapid.SampledFrom(somePaths[1:]).Draw(t, "path")
				if rapid.Bool().Draw(t, "exact") {
					return policy.HTTPPath{Exact: p}
				}
				return policy.HTTPPath{Prefix: p + rapid.SampledFrom([]string{"", "/"}).Draw(t, "slash")}
			}), 0, 2).Draw(t, "paths"),
		}
		for i, p := range m.Paths {
			if p.Prefix == "//" {
				m.Paths[i].Prefix = "/"
			}
		}
		list = append(list, m)
		all = all.or(matchOf(m))
	}
	return all, func(method, path string) bool {
		return slices.ContainsFunc(list, func(m *policy.HTTPMatch) bool { return m.MatchesMethod(method) && m.MatchesPath(path) })
	}
}

func (r requests) match(method, path string) bool {
	return r.contain(&policy.HTTPRequest{Method: method, Path: path})
}

// TestRequests holds lists of requests, those of either and those of both against
// the rules that they are of.
func TestRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, inA := drawRequests(t, "a")
		b, inB := drawRequests(t, "b")
		either, both := a.or(b), a.and(b)
		if x := b.or(a); x.compare(either) != 0 || x.all() != either.all() {
			t.Fatalf("either has two forms: %q and %q", x, either)
		}
		for _, method := range append(someMethods, "OTHER") {
			for _, path := range append(somePaths, "/a/x", "/other") {
				x, y := inA(method, path), inB(method, path)
				for _, c := range []struct {
					name string
					of   requests
					want bool
				}{{"a", a, x}, {"either", either, x || y}, {"both", both, x && y}} {
					if got := c.of.match(method, path); got != c.want {
						t.Fatalf("%s %q: %v is in %s: %v, want %v (a %v, b %v)", method, path, c.of, c.name, got, c.want, a, b)
					}
				}
			}
		}
	})
}

// drawL4 draws a set of some ports, types and protocols.
func drawL4(t *rapid.T, label string) L4Set {
	var s L4Set
	spans := func(last int) []span {
		return union(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) span {
			edges := []int{0, 1, 79, 80, 81, 200, last - 1, last}
			a, b := rapid.SampledFrom(edges).Draw(t, "first"), rapid.SampledFrom(edges).Draw(t, "last")
			return span{min(a, b), max(a, b)}
		}), 0, 3).Draw(t, label))
	}
	for p := range 256 {
		if p%3 == 0 && rapid.Bool().Draw(t, "protocol") {
			s.full.add(policy.Protocol(p))
		}
	}
	for _, p := range []policy.Protocol{policy.TCP, policy.UDP} {
		s.full.remove(p)
		s.setPorts(p, spans(65535))
	}
	var codes [256][]span
	for _, typ := range []int{0, 8, 9, 255} {
		codes[typ] = spans(255)
	}
	s.full.remove(policy.ICMP)
	s.setTypes(policy.ICMP, &codes)
	s.sort()
	return s
}

func (s *L4Set) holds(p policy.Protocol, x, y int) bool {
	in := func(list []span, n int) bool {
		return slices.ContainsFunc(list, func(r span) bool { return r.first <= n && n <= r.last })
	}
	return s.full.has(p) || in(s.portsOf(p), x) || slices.ContainsFunc(s.typesOf(p).runs, func(r icmpRun) bool {
		return r.types.first <= x && x <= r.types.last && in(r.codes, y)
	})
}

// TestSetsOfConnections holds what is done with sets of connections against points.
func TestSetsOfConnections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawL4(t, "a"), drawL4(t, "b")
		not, sum, rest, common := a.Complement(), a.Union(b), a.Subtract(b), a.Intersect(b)
		for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, 0, 3, 47, 255} {
			last := 255
			if p.HasPorts() {
				last = 65535
			}
			for _, x := range []int{0, 1, 8, 9, 78, 79, 80, 81, 82, 199, 201, 255, last - 1, last} {
				for _, y := range []int{0, 1, 80, 255} {
					inA, inB := a.holds(p, x, y), b.holds(p, x, y)
					if not.holds(p, x, y) == inA || sum.holds(p, x, y) != (inA || inB) || rest.holds(p, x, y) != (inA && !inB) || common.holds(p, x, y) != (inA && inB) {
						t.Fatalf("protocol %v %d/%d: in a %v, in b %v, but not-a %v, a+b %v, a-b %v, both %v", p, x, y, inA, inB,
							not.holds(p, x, y), sum.holds(p, x, y), rest.holds(p, x, y), common.holds(p, x, y))
					}
				}
			}
		}
		if again := not.Complement(); !again.Equal(a) {
			t.Fatalf("two forms: %v and %v", again, a)
		}
	})
}
