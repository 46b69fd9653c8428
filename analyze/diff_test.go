package analyze_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// TestDiffSaysWhatEvaluateSays checks, on random points and on those at the edges of
// rules, that a pair which is listed changes as it says, and any other not at all.
func TestDiffSaysWhatEvaluateSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := owned(t, modeltest.ModelsWithHosts().Draw(t, "before"))
		after := *modeltest.ModelsWithHosts().Draw(t, "after")
		after.Endpoints, after.Nodes, after.Host = before.Endpoints, before.Nodes, before.Host
		t.Logf("before %v\nafter %v", modeltest.Text{Model: before}, modeltest.Text{Model: &after})
		rows, _, err := analyze.Diff(before, &after, analyze.ReachOptions{Pods: true})
		if err != nil {
			t.Fatal(err)
		}
		judges := [2]*evaluate.Evaluator{evaluate.New(before), evaluate.New(&after)}
		answers := [2]*answer{}
		for i := range answers {
			answers[i] = &answer{t, map[[2]string][]jsonEntry{}, map[[2]string]analyze.Allowed{}, map[string]bool{}}
		}
		var listed []jsonPair
		readBack(t, rows, &listed)
		for i, r := range listed {
			k := [2]string{r.Src, r.Dst}
			answers[0].pairs[k], answers[0].values[k] = r.Before, rows[i].Before
			answers[1].pairs[k], answers[1].values[k] = r.After, rows[i].After
		}
		both := *before
		both.Policies, both.Sets = slices.Concat(before.Policies, after.Policies), slices.Concat(before.Sets, after.Sets)
		var flows []policy.Flow
		for range 2 {
			f := modeltest.Flows(&both).Draw(t, "flow")
			f.HTTP = modeltest.Requests().Draw(t, "request")
			flows = append(flows, f)
		}
		holders := hostSides(&both)
		for _, src := range holders {
			for _, dst := range holders {
				if src.addr.Is4() != dst.addr.Is4() || src.addr == dst.addr || src.ep == nil && dst.ep == nil || src.ep == dst.ep {
					continue
				}
				if src.node != "" && src.node == dst.node && (src.host || dst.ep == nil) {
					continue // always the same, and not listed
				}
				var found []jsonPair
				for _, r := range listed {
					if isEnd(r.Src, src.holder) && isEnd(r.Dst, dst.holder) {
						found = append(found, r)
					}
				}
				if len(found) > 1 {
					t.Fatalf("listed twice: %v", found)
				}
				for _, f := range flows {
					if src.addr.Is4() && f.IsNeighbourDiscovery() {
						continue // IPv4 has none
					}
					f.Src, f.Dst, f.Out, f.In = src.addr, dst.addr, src.iface, dst.iface
					if f.Protocol.HasPorts() {
						f.SrcPort = 49152
					}
					if isControl(f) {
						continue // never judged, so that it need not be listed
					}
					results := [2]policy.Result{judges[0].Evaluate(f), judges[1].Evaluate(f)}
					if len(found) == 0 {
						if now, then := results[0].Verdict, results[1].Verdict; now != then {
							t.Fatalf("%+v: %v becomes %v and is not listed", f, now, then)
						}
						continue
					}
					for i, want := range results {
						if listed := answers[i].allows(found[0].Src, found[0].Dst, f); listed != (want.Verdict == policy.Allow) {
							t.Fatalf("%+v, %d: %v is listed as %v; evaluate says egress by %v, ingress by %v, hosts %+v, answers %+v",
								f, i, want.Verdict, found[0], want.Egress.By, want.Ingress.By, want.Hosts, want.Answer)
						}
					}
				}
			}
		}
	})
}

// isEnd reports whether a listed end is that of an address.
func isEnd(text string, h holder) bool {
	if h.ep != nil {
		name, addr, single := strings.Cut(text, " (")
		if h.ep.Host != nil {
			return name == "host/"+h.ep.Key.Name && (!single || addr == h.addr.String()+")")
		}
		return name == h.ep.Key.String() && (!single || addr == h.addr.String()+")")
	}
	first, last, _ := strings.Cut(text, "-")
	lo, err1 := netip.ParseAddr(first)
	hi, err2 := netip.ParseAddr(last)
	return err1 == nil && err2 == nil && lo.Is4() == h.addr.Is4() && lo.Compare(h.addr) <= 0 && h.addr.Compare(hi) <= 0
}

// TestDiff shows how differences are presented: pods as their workload where all of
// them differ alike, the outside world as ranges.
func TestDiff(t *testing.T) {
	endpoints := []*policy.Endpoint{pod("a1/a", "10.0.0.1"), pod("a2/a", "10.0.0.2"), pod("b", "10.0.0.3")}
	before := &policy.Model{Tiers: policy.FixedTiers(), Endpoints: endpoints, Policies: []*policy.Policy{ingress("app == 'b'", "10.0.0.0/24")}}
	after := &policy.Model{Tiers: policy.FixedTiers(), Endpoints: endpoints, Policies: []*policy.Policy{ingress("app == 'b'", "10.0.0.0/31", "192.0.2.0/24")}}
	rows := func(before, after *policy.Model) (out []string) {
		list, _, err := analyze.Diff(before, after, analyze.ReachOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			out = append(out, fmt.Sprintf("%v > %v: %v > %v", r.Src, r.Dst, r.Before, r.After))
		}
		return out
	}
	if d := cmp.Diff([]string{
		"ns/Pod/a2 > ns/Pod/b: All > nothing",
		"10.0.0.2-10.0.0.255 > ns/Pod/b: All > nothing",
		"192.0.2.0-192.0.2.255 > ns/Pod/b: nothing > All",
	}, rows(before, after)); d != "" {
		t.Errorf("one pod (-want +got):\n%s", d)
	}
	after.Policies = []*policy.Policy{ingress("app == 'b'", "192.0.2.0/24")}
	if d := cmp.Diff([]string{
		"ns/Deployment/a > ns/Pod/b: All > nothing",
		"10.0.0.0-10.0.0.255 > ns/Pod/b: All > nothing",
		"192.0.2.0-192.0.2.255 > ns/Pod/b: nothing > All",
	}, rows(before, after)); d != "" {
		t.Errorf("both pods (-want +got):\n%s", d)
	}
	if got := rows(before, before); got != nil {
		t.Errorf("nothing changed: %v", got)
	}
}
