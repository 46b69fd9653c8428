package engine_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Each figure with b.Loop is one whole run of what the name says. "heap-MB" is
// what the engine alone retains after it, without the model's objects, which a
// node shares with its store; "model-MB" is those.

// liveHeap returns the bytes that are reachable.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc)
}

// benchFromScratch compiles a model for one node, each time in a new engine.
func benchFromScratch(b *testing.B, build func() *policy.Model) {
	b.ReportAllocs()
	empty := liveHeap()
	m := build()
	changes := modeltest.Changes(nil, m)
	before := liveHeap()
	var e *engine.Engine
	var d *dataplane.Delta
	for b.Loop() {
		e = engine.New(modeltest.IsLocal)
		e.Apply(changes...)
		d = e.Flush()
	}
	locals, rows, addrs := len(d.SetLocals), len(d.AddRows), len(d.SetAddrs)
	d = nil
	b.ReportMetric((liveHeap()-before)/1e6, "heap-MB")
	b.ReportMetric((before-empty)/1e6, "model-MB")
	b.ReportMetric(float64(locals), "locals")
	b.ReportMetric(float64(rows), "rows")
	b.ReportMetric(float64(addrs), "addresses")
	runtime.KeepAlive(e)
	runtime.KeepAlive(changes)
	runtime.KeepAlive(m)
}

// Customers that may connect within their own namespace only; ten endpoints in
// each, 100 of all of them local.
func BenchmarkIsolatedCustomers(b *testing.B) {
	for _, c := range []struct {
		policies             int
		felixNS, felixHeapMB float64 // Felix's calculation graph, on a machine of this kind
	}{{1_000, 33e6, 9}, {10_000, 360e6, 39}, {100_000, 11.2e9, 314}} {
		b.Run(fmt.Sprintf("policies=%d", c.policies), func(b *testing.B) {
			benchFromScratch(b, func() *policy.Model { return modeltest.Isolated(c.policies, 10, 100) })
			b.ReportMetric(c.felixNS, "felix-ns/op")
			b.ReportMetric(c.felixHeapMB, "felix-heap-MB")
		})
	}
}

// The same with ten endpoints in each of the 100 local namespaces only: the
// policies grow, the endpoints do not.
func BenchmarkIsolatedCustomersPoliciesOnly(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			benchFromScratch(b, func() *policy.Model {
				m := modeltest.Isolated(n, 10, 100)
				local := map[string]bool{}
				for _, ep := range m.Endpoints {
					if modeltest.IsLocal(ep) {
						local[ep.Key.Namespace] = true
					}
				}
				var kept []*policy.Endpoint
				for _, ep := range m.Endpoints {
					if local[ep.Key.Namespace] {
						kept = append(kept, ep)
					}
				}
				m.Endpoints = kept
				return m
			})
		})
	}
}

// 100,000 pods and 75,000 Kubernetes policies in 25,000 namespaces, compiled
// for a node with 110 pods.
func BenchmarkKubernetesCluster(b *testing.B) {
	benchFromScratch(b, func() *policy.Model { return modeltest.Kubernetes(25_000, 110) })
	b.ReportMetric(5.8e9, "antrea-ns/op") // its controller, as published
}

// A production-shaped cluster for one of its nodes.
func BenchmarkProductionCluster(b *testing.B) {
	for _, n := range []int{10, 100, 1_000} {
		b.Run(fmt.Sprintf("namespaces=%d", n), func(b *testing.B) {
			benchFromScratch(b, func() *policy.Model {
				return modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: n, Workloads: 6, Replicas: 10})
			})
		})
	}
}

// selectorsModel has policies for one local endpoint whose rules name n
// selectors, of n different values of a label, and an endpoint for each.
func selectorsModel(n int) *policy.Model {
	m := &policy.Model{Tiers: policy.FixedTiers()}
	local := endpoint("local/server", "role=server", "10.0.0.1")
	local.Node = modeltest.LocalNode
	m.Endpoints = append(m.Endpoints, local)
	for i := range n {
		value := fmt.Sprintf("v%d", i)
		m.Policies = append(m.Policies, rulesPolicy("default", "allow-"+value, 100, "role == 'server'", nil, []policy.Rule{
			{Action: policy.Allow, Source: policy.Peer{Set: &policy.PeerSet{Selector: selector.Equals("app", value)}}},
		}))
		m.Endpoints = append(m.Endpoints, peer(i, "app="+value))
	}
	return m
}

// peer makes the i-th endpoint of other nodes.
func peer(i int, labels string) *policy.Endpoint {
	return endpoint(fmt.Sprintf("peers/p%d", i), labels, netip.AddrFrom4([4]byte{10, 1 + byte(i>>16), byte(i >> 8), byte(i)}).String())
}

// One endpoint's label changes, to and fro between two values that rules name,
// and to a value that none does.
func BenchmarkLabelChange(b *testing.B) {
	// Felix's label index, on a machine of this kind.
	felix := map[int]float64{10: 7_600, 100: 20_000, 1_000: 162_000, 10_000: 2_700_000}
	for _, n := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("selectors=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			defer b.ReportMetric(felix[n], "felix-ns/op")
			e := engine.New(modeltest.IsLocal)
			e.Apply(modeltest.Changes(nil, selectorsModel(n))...)
			e.Flush()
			versions := []policy.Change{}
			for _, labels := range []string{"app=v1", "app=v2", "app=none"} {
				ep := peer(0, labels)
				versions = append(versions, policy.Change{Key: ep.Key, Object: ep})
			}
			i := 0
			for b.Loop() {
				e.Apply(versions[i%len(versions)])
				e.Flush()
				i++
			}
		})
	}
}

// The label becomes one that no endpoint had before, and that of no other one.
func BenchmarkLabelChangeToNew(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("selectors=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			e := engine.New(modeltest.IsLocal)
			e.Apply(modeltest.Changes(nil, selectorsModel(n))...)
			e.Flush()
			ep := peer(0, "app=v0")
			i := 0
			for b.Loop() {
				v := *ep
				v.Labels = labelsOf(fmt.Sprintf("app=v%d unique=%d", i%n, i))
				e.Apply(policy.Change{Key: v.Key, Object: &v})
				e.Flush()
				i++
			}
		})
	}
}

// A pod with a label set that others have comes, and goes again.
func BenchmarkPodAdded(b *testing.B) {
	for _, pods := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			b.ReportAllocs()
			e := engine.New(modeltest.IsLocal)
			m := modeltest.Isolated(pods/10, 10, 100)
			e.Apply(modeltest.Changes(nil, m)...)
			e.Flush()
			ep := *m.Endpoints[1]
			ep.Key.Name = "new"
			ep.Addrs = addrs("192.0.2.1")
			added, gone := policy.Change{Key: ep.Key, Object: &ep}, policy.Change{Key: ep.Key}
			for b.Loop() {
				e.Apply(added)
				if d := e.Flush(); len(d.SetAddrs) != 1 {
					b.Fatalf("got %+v", d)
				}
				b.StopTimer()
				e.Apply(gone)
				e.Flush()
				b.StartTimer()
			}
		})
	}
}

// A policy that applies to one local endpoint changes in one port.
func BenchmarkPolicyChange(b *testing.B) {
	b.ReportAllocs()
	m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 100, Workloads: 6, Replicas: 10})
	e := engine.New(modeltest.IsLocal)
	e.Apply(modeltest.Changes(nil, m)...)
	e.Flush()
	var versions []policy.Change
	for _, p := range m.Policies {
		if p.Key.Name == "allow-api-1" && p.Key.Namespace == "app-000" {
			v := *p
			v.Rules[policy.Ingress] = append(v.Rules[policy.Ingress], policy.Rule{Index: 1, Action: policy.Allow, Source: policy.Peer{Nets: nets("192.0.2.0/24")}})
			versions = []policy.Change{{Key: p.Key, Object: &v}, {Key: p.Key, Object: p}}
		}
	}
	i := 0
	for b.Loop() {
		e.Apply(versions[i%2])
		e.Flush()
		i++
	}
}

// A net comes to, and goes from, a set of a thousand.
func BenchmarkSetChange(b *testing.B) {
	b.ReportAllocs()
	m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 100, Workloads: 6, Replicas: 10})
	set := *m.Sets[0]
	for i := range 1000 {
		set.Nets = append(set.Nets, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32))
	}
	m.Sets[0] = &set
	wider := set
	wider.Nets = append(nets("192.0.2.0/24"), set.Nets...)
	e := engine.New(modeltest.IsLocal)
	e.Apply(modeltest.Changes(nil, m)...)
	e.Flush()
	versions := []policy.Change{{Key: set.Key, Object: &wider}, {Key: set.Key, Object: &set}}
	i := 0
	for b.Loop() {
		e.Apply(versions[i%2])
		if d := e.Flush(); len(d.SetNets)+len(d.DelNets) != 1 {
			b.Fatalf("got %+v", d)
		}
		i++
	}
}

// 200 local endpoints in 100 namespaces, and policies for all of them, each of
// which allows what comes from a network set of its own.
func BenchmarkNetworkSetPolicies(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			benchFromScratch(b, func() *policy.Model { return networkSetsModel(n) })
		})
	}
}

func networkSetsModel(n int) *policy.Model {
	m := model()
	for i := range 200 {
		ep := endpoint(fmt.Sprintf("ns%d/p%d", i%100, i), fmt.Sprintf("app=a%d", i%30), fmt.Sprintf("10.0.0.%d", i))
		ep.Node = modeltest.LocalNode
		m.Endpoints = append(m.Endpoints, ep)
	}
	host := 11 << 24
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		s := set(name, "name="+name, "")
		for range []int{1, 1, 1, 1, 2, 3, 4, 5, 100, 1000}[i%10] {
			host++
			addr := netip.AddrFrom4([4]byte{byte(host >> 24), byte(host >> 16), byte(host >> 8), byte(host)})
			s.Nets = append(s.Nets, netip.PrefixFrom(addr, 32))
		}
		m.Sets = append(m.Sets, s)
		m.Policies = append(m.Policies, rulesPolicy("default", "from-"+name, 100, "all()", nil, []policy.Rule{
			{Action: policy.Allow, Source: policy.Peer{Set: &policy.PeerSet{Selector: selector.Equals("name", name)}}},
		}))
	}
	return m
}

// One of many policies that apply to an endpoint changes its place among them.
func BenchmarkOrderChange(b *testing.B) {
	for _, n := range []int{100, 1_000} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			m := selectorsModel(n)
			e := engine.New(modeltest.IsLocal)
			e.Apply(modeltest.Changes(nil, m)...)
			e.Flush()
			first, p := *m.Policies[n/2], m.Policies[n/2]
			first.Order = 1
			versions := []policy.Change{{Key: p.Key, Object: &first}, {Key: p.Key, Object: p}}
			i := 0
			for b.Loop() {
				e.Apply(versions[i%2])
				e.Flush()
				i++
			}
		})
	}
}

// One policy with many rules, each for a range of ports.
func BenchmarkPortRules(b *testing.B) {
	for _, n := range []int{100, 1_000, 5_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			benchFromScratch(b, func() *policy.Model {
				tcp := policy.TCP
				var rules []policy.Rule
				for i := range n {
					first := uint16(i * 13)
					rules = append(rules, policy.Rule{Index: i, Action: policy.Allow, Protocol: &tcp, Destination: policy.Peer{
						Ports: &policy.Ports{Ranges: []policy.PortRange{{First: first, Last: first + 3}}},
					}})
				}
				ep := endpoint("ns/p", "app=a", "10.0.0.1")
				ep.Node = modeltest.LocalNode
				return model(ep, rulesPolicy("default", "ports", 1, "all()", nil, rules))
			})
		})
	}
}
