package analyze_test

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// answer is a Reachability as a reader of its JSON has it: texts only. Beside it is
// what the same pairs are as values.
type answer struct {
	t      *rapid.T
	pairs  map[[2]string][]jsonEntry
	values map[[2]string]analyze.Allowed
	ends   map[string]bool // that are listed
}

// jsonPair and jsonEntry are what the JSON has.
type jsonPair struct {
	Src, Dst      string
	Domains       []string
	Allowed       []jsonEntry
	Before, After []jsonEntry
}

type jsonEntry struct {
	Protocol, Ports, Types, Family string
	HTTP                           []analyze.Requests
}

// readBack writes a value as JSON and reads it into another one.
func readBack(t interface{ Fatal(...any) }, from, to any) {
	text, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}

func newAnswer(t *rapid.T, r *analyze.Reachability) *answer {
	a := &answer{t, map[[2]string][]jsonEntry{}, map[[2]string]analyze.Allowed{}, map[string]bool{}}
	var pairs []jsonPair
	readBack(t, r.Pairs, &pairs)
	for i, p := range pairs {
		k := [2]string{p.Src, p.Dst}
		if a.pairs[k] != nil || len(p.Allowed) == 0 || p.Src == p.Dst {
			t.Fatalf("pair %v is listed twice, or of nothing, or of one end: %v", k, p)
		}
		a.pairs[k], a.values[k] = p.Allowed, r.Pairs[i].Allowed
		a.ends[p.Src], a.ends[p.Dst] = true, true
	}
	return a
}

// sourcePort draws the port that connections come from: the lowest ephemeral one, or any
// where it is not noted that these differ.
func sourcePort(t *rapid.T, r *analyze.Reachability) uint16 {
	ports := []uint16{49152, 49152, 49153, 50000, 50001, 65534, 65535}
	if slices.ContainsFunc(r.Notes, func(n analyze.Note) bool { _, is := n.(analyze.EphemeralPortsNote); return is }) {
		ports = ports[:1]
	}
	return rapid.SampledFrom(ports).Draw(t, "source port")
}

// nameOf returns the name under which an address is listed; "" if it is not.
func (a *answer) nameOf(ep *policy.Endpoint, addr netip.Addr) string {
	if ep == nil {
		return a.rangeOf(addr)
	}
	names := []string{ep.Key.String(), ep.Key.String() + " (" + addr.String() + ")"}
	if ep.Owner != (policy.Key{}) {
		names = append(names, ep.Owner.String())
	}
	found := ""
	for _, name := range names {
		if a.ends[name] {
			if found != "" {
				a.t.Fatalf("%v is listed both as %q and as %q", addr, found, name)
			}
			found = name
		}
	}
	return found
}

func (a *answer) rangeOf(addr netip.Addr) string {
	found := ""
	for name := range a.ends {
		first, last, ok := strings.Cut(name, "-")
		lo, err := netip.ParseAddr(first)
		if !ok || err != nil {
			continue
		}
		if hi := netip.MustParseAddr(last); lo.Compare(addr) <= 0 && addr.Compare(hi) <= 0 && lo.Is4() == addr.Is4() {
			if found != "" {
				a.t.Fatalf("%v is in two ranges, %s and %s", addr, found, name)
			}
			found = name
		}
	}
	return found
}

// allows reads what is listed for a flow.
func (a *answer) allows(src, dst string, f policy.Flow) bool {
	k := [2]string{src, dst}
	entries := a.pairs[k]
	listed := entriesAllow(entries, f)
	if value := a.values[k].Contains(f); value != listed {
		a.t.Fatalf("%+v is in %v: %v, and in its JSON, %v: %v", f, a.values[k], value, entries, listed)
	}
	for _, e := range entries {
		if (e.Family == "") != (entries[0].Family == "") {
			a.t.Fatalf("some entries have a family, some not: %v", entries)
		}
	}
	return listed
}

func entriesAllow(entries []jsonEntry, f policy.Flow) bool {
	family := "IPv4"
	if !f.Src.Is4() {
		family = "IPv6"
	}
	return slices.ContainsFunc(entries, func(e jsonEntry) bool {
		return (e.Family == "" || e.Family == family) && protocolIn(e.Protocol, f.Protocol) &&
			(e.Ports == "" || numberIn(e.Ports, int(f.DstPort))) && (e.Types == "" || typeIn(e.Types, int(f.ICMPType), int(f.ICMPCode))) &&
			requestIn(e.HTTP, f.HTTP)
	})
}

// requestIn reports whether a listed entry allows a request; a connection of which
// none is known is let through.
func requestIn(list []analyze.Requests, q *policy.HTTPRequest) bool {
	return list == nil || q == nil || slices.ContainsFunc(list, func(r analyze.Requests) bool {
		return (len(r.Methods) == 0 || slices.Contains(r.Methods, q.Method)) &&
			(len(r.Paths) == 0 || slices.ContainsFunc(r.Paths, func(p analyze.Path) bool { return policy.HTTPPath(p).Matches(q.Path) }))
	})
}

// protocolIn reads as a script would that knows the names: a protocol that has one is
// looked for by it.
func protocolIn(text string, p policy.Protocol) bool {
	return text == "All" || text == p.String() || !p.Named() && text[0] <= '9' && numberIn(text, int(p))
}

// numberIn reports whether a list like "80,443,8000-9000" holds n.
func numberIn(list string, n int) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(item string) bool {
		first, last, ok := strings.Cut(item, "-")
		if !ok {
			last = first
		}
		lo, err1 := strconv.Atoi(first)
		hi, err2 := strconv.Atoi(last)
		return cmp.Or(err1, err2) == nil && lo <= n && n <= hi
	})
}

func typeIn(list string, icmpType, code int) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(item string) bool {
		types, codes, ok := strings.Cut(item, "/")
		return numberIn(types, icmpType) && (!ok || numberIn(codes, code))
	})
}

// owned returns some pods of the model owners, the same for several.
func owned(t *rapid.T, m *policy.Model) *policy.Model {
	owners := []policy.Key{{}, {Kind: "Deployment", Namespace: "blue", Name: "web"}, {Kind: "Job", Namespace: "red", Name: "j"}}
	out := *m
	out.Endpoints = nil
	for _, ep := range m.Endpoints {
		v := *ep
		v.Owner = rapid.SampledFrom(owners).Draw(t, "owner")
		out.Endpoints = append(out.Endpoints, &v)
	}
	return &out
}

// holder is an address and who holds it; nil for the outside world.
type holder struct {
	addr netip.Addr
	ep   *policy.Endpoint
}

// holdersOf returns the addresses of a model's endpoints, and of the outside
// world those where something may change. Shared addresses are those of the
// first endpoint by key, and of others as well.
func holdersOf(m *policy.Model) (out []holder) {
	held := map[netip.Addr]bool{}
	for _, ep := range m.Endpoints {
		for _, a := range ep.Addrs {
			out = append(out, holder{a, ep})
			held[a] = true
		}
	}
	for _, list := range modeltest.PointsOf(m).Addrs {
		for _, a := range list {
			if !held[a] {
				out = append(out, holder{a, nil})
			}
		}
	}
	return out
}

// Every pair, on random points and on those at the edges of rules: what is
// listed is what evaluate decides.
func TestReachSaysWhatEvaluateSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := owned(t, modeltest.Models().Draw(t, "model"))
		t.Logf("%v", modeltest.Text{Model: m})
		opts := analyze.ReachOptions{Pods: rapid.Bool().Draw(t, "pods")}
		r, err := analyze.Reach(m, opts)
		if err != nil {
			t.Fatal(err)
		}
		a, ev := newAnswer(t, r), evaluate.New(m)
		srcPort := sourcePort(t, r)
		holders := holdersOf(m)
		var flows []policy.Flow
		for range 6 {
			f := modeltest.Flows(m).Draw(t, "flow")
			f.HTTP = modeltest.Requests().Draw(t, "request")
			flows = append(flows, f)
		}
		for _, src := range holders {
			for _, dst := range holders {
				if src.addr.Is4() != dst.addr.Is4() || src.addr == dst.addr || src.ep == nil && dst.ep == nil || src.ep == dst.ep {
					continue
				}
				srcName, dstName := a.nameOf(src.ep, src.addr), a.nameOf(dst.ep, dst.addr)
				if srcName != "" && srcName == dstName {
					continue // within one workload
				}
				if src.ep != nil && dst.ep != nil && !opts.Pods && src.ep.Owner != (policy.Key{}) && src.ep.Owner == dst.ep.Owner && (srcName == "" || dstName == "") {
					continue // within one workload, of which nothing may be listed
				}
				for _, f := range flows {
					f.Src, f.Dst = src.addr, dst.addr
					if f.Protocol.HasPorts() {
						f.SrcPort = srcPort
					}
					if f.IsControlTraffic() && !a.allows(srcName, dstName, f) {
						continue // never judged, so that it need not be listed
					}
					want := ev.Evaluate(f)
					if got := a.allows(srcName, dstName, f); got != (want.Verdict == policy.Allow) {
						t.Fatalf("%+v %+v, %q to %q: listed as %v: %v; evaluate says egress %v by %v, ingress %v by %v", f, f.HTTP, srcName, dstName, got,
							a.pairs[[2]string{srcName, dstName}], want.Egress.Verdict, want.Egress.By, want.Ingress.Verdict, want.Ingress.By)
					}
				}
			}
		}
	})
}
