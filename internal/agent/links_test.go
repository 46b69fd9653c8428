package agent

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// wires are the interfaces of a host as a test has them.
type wires struct {
	mu      sync.Mutex
	result  hostlink.Result
	fail    error
	asked   []hostlink.Endpoint
	changed func(bool)
}

func (w *wires) Find(endpoints []hostlink.Endpoint) (hostlink.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = endpoints
	return w.result, w.fail
}

func (w *wires) Watch(ctx context.Context, changed func(bool)) error {
	w.mu.Lock()
	w.changed = changed
	w.mu.Unlock()
	<-ctx.Done()
	return nil
}

// set changes the interfaces, and says so.
func (w *wires) set(t *testing.T, r *rig, result hostlink.Result, fail error) {
	t.Helper()
	w.mu.Lock()
	w.result, w.fail = result, fail
	w.mu.Unlock()
	r.eventually("the agent watches", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.changed != nil
	})
	w.changed(false)
}

// guardedKernel is a dataplane in memory that keeps its guard.
type guardedKernel struct {
	*testKernel
	guards *guards
}

type guards struct {
	mu   sync.Mutex
	last dataplane.AntiSpoofing
	fail int
}

func (k *guardedKernel) SetAntiSpoofing(_ context.Context, g dataplane.AntiSpoofing) error {
	k.guards.mu.Lock()
	defer k.guards.mu.Unlock()
	if k.guards.fail > 0 {
		k.guards.fail--
		return errors.New("no buffer space available")
	}
	k.guards.last = g
	return nil
}

func (k *guardedKernel) Spoofed(context.Context) (uint64, error) { return 5, nil }

var _ dataplane.AntiSpoofer = (*guardedKernel)(nil)

func TestLinks(t *testing.T) {
	w, g, written := &wires{}, &guards{fail: 2}, &reports{}
	db := policy.Key{Kind: "Pod", Namespace: "shop", Name: "db"}
	addrs, local, mac := []netip.Addr{netip.MustParseAddr("10.0.0.1")}, netip.MustParseAddr("169.254.20.10"), net.HardwareAddr{2, 0, 0, 0, 0, 7}
	r, c := newClusterRig(t, func(cfg *Config, k *faults) {
		cfg.Links, cfg.CheckSources, cfg.DenyUnknown, cfg.Report = w, true, true, written.write
		cfg.Open = func() (dataplane.Dataplane, error) {
			dp, err := k.open()
			return &guardedKernel{dp.(*testKernel), g}, err
		}
	})
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here"}, Spec: corev1.NodeSpec{PodCIDR: "10.0.0.0/24", PodCIDRs: []string{"10.0.0.0/24", "fd00::/64", "nonsense"}}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "here.example"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.33"}}
	w.result = hostlink.Result{Unknown: []hostlink.Unknown{{Key: db, Reason: "there is no route"}}}
	c <- store.Batch{Updated: append(objects(t, agenttest.Cluster, agenttest.AllowPort("5432")), store.Resource{Key: policy.Key{Kind: "Node", Name: "here"}, Object: node})}
	r.eventually("ready, although the kernel refused the guard twice", func() bool { return r.status().Ready })
	nets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64")}
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	check := func(want dataplane.AntiSpoofing) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		got := g.last
		for _, a := range append(want.NodeAddrs, netip.MustParseAddr("192.0.2.33")) {
			if !slices.Contains(got.NodeAddrs, a) {
				return false
			}
		}
		got.NodeAddrs, want.NodeAddrs = nil, nil // this host's broadcast addresses are among them
		return cmp.Equal(want, got, same, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
	}
	if !check(dataplane.AntiSpoofing{PodNets: nets}) {
		t.Errorf("the guard is %+v", g.last)
	}
	if e := r.status().Endpoints; len(e) != 1 || e[0].Unknown != "there is no route" {
		t.Errorf("status: %+v", e)
	}

	bypass := hostlink.Bypass{Bridge: "cni0", Family: 4}
	w.set(t, r, hostlink.Result{Links: []hostlink.Link{{Key: db, Name: "veth1", Index: 7, Bridge: "cni0", BridgeIndex: 3, Addrs: addrs, MAC: mac}}, Bypass: []hostlink.Bypass{bypass},
		Tunnels: []hostlink.Tunnel{{Name: "gre1", Protocol: 47}, {Name: "overlay", Protocol: policy.UDP, Port: 7777}}, LocalAddrs: []netip.Addr{local}}, nil)
	found := dataplane.AntiSpoofing{
		PodNets: nets, Links: []dataplane.Link{{Index: 7, Port: true, Bridge: 3, Addrs: addrs, MAC: mac}},
		NodeAddrs: []netip.Addr{local, netip.MustParseAddr("192.0.2.44")}, TunnelPorts: []uint16{7777},
	}
	elsewhere := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "elsewhere"}, Spec: corev1.PodSpec{NodeName: "there"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "192.0.2.44", PodIP: "10.9.9.9"},
	}
	c <- store.Batch{Updated: []store.Resource{{Key: policy.Key{Kind: "Pod", Namespace: "shop", Name: "elsewhere"}, Object: elsewhere}}}
	r.eventually("the interface is guarded", func() bool { return check(found) })
	r.eventually("and shown", func() bool {
		st := r.status()
		return len(st.Endpoints) == 1 && st.Endpoints[0].Interface == "veth1" && st.Endpoints[0].Bridge == "cni0" && len(st.NotEnforced) == 1
	})
	if !strings.Contains(r.logs.String(), "bridge-nf-call-iptables=1") {
		t.Error("the log does not say what bypasses policy")
	}
	r.eventually("it is reported", func() bool {
		return strings.Contains(written.last().Report.Error, "on bridge cni0 bypass policy")
	})
	_, m := r.get("/metrics")
	if st := r.status(); st.NotEnforceableEndpoints != 1 || len(st.NotEnforceable) != 1 || st.NotEnforceable[0].Reason != "BridgeBypass" ||
		!strings.Contains(st.NotEnforceable[0].Fix, "br_netfilter") || len(st.NotEnforceable[0].Endpoints) != 1 || st.Endpoints[0].NotEnforceable != "BridgeBypass" {
		t.Errorf("status: %+v", st)
	}
	if got := written.last().Report; got.Endpoints != 0 || got.NotEnforceableEndpoints != 1 || got.Policies[0].Endpoints != 0 || got.Policies[0].NotEnforceable != 1 ||
		len(got.NotEnforceable) != 1 || got.NotEnforceable[0].Reason != "BridgeBypass" || got.NotEnforceable[0].Names[0] != "shop/db" {
		t.Errorf("report: %+v", got)
	}
	for _, want := range []string{"tierwall_not_enforced 1", `tierwall_endpoints_not_enforceable{reason="BridgeBypass"} 1`, `tierwall_endpoints_not_enforceable{reason="IPVS"} 0`, `tierwall_local_endpoint_interfaces{known="yes"} 1`, "tierwall_spoofed_packets_total 5"} {
		if !strings.Contains(m, want) {
			t.Errorf("no %s", want)
		}
	}

	// What fails leaves what was found.
	w.set(t, r, hostlink.Result{}, errors.New("netlink: interrupted"))
	r.eventually("the failure is logged", func() bool { return strings.Contains(r.logs.String(), "netlink: interrupted") })
	if !check(found) {
		t.Error("the guard is gone")
	}
	// The CNI plugin knows the interface.
	at := attached("db", "", "c1", "10.0.0.1")
	at.HostInterface = "veth9"
	w.set(t, r, hostlink.Result{}, nil)
	if err := r.returns("a pod", ensure(context.Background(), r.a, at)); err != nil {
		t.Error(err)
	}
	w.mu.Lock()
	asked := w.asked
	w.mu.Unlock()
	if len(asked) != 1 || asked[0].Interface != "veth9" {
		t.Errorf("looked for %+v", asked)
	}
	r.eventually("nothing is left", func() bool { return check(dataplane.AntiSpoofing{PodNets: nets}) })
}

// countingKernel also tells where what it drops comes in.
type countingKernel struct {
	*guardedKernel
	mu   *sync.Mutex
	list *[]dataplane.SpoofedSource
}

func (k countingKernel) SpoofedSources(context.Context) ([]dataplane.SpoofedSource, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(*k.list), nil
}

var _ dataplane.SpoofReporter = countingKernel{}

// TestSpoofing: a pod that lies is named, and an interface by which many sources come in is said to lead to more than the pod.
func TestSpoofing(t *testing.T) {
	w, written := &wires{}, &reports{}
	var mu sync.Mutex
	var list []dataplane.SpoofedSource
	db := policy.Key{Kind: "Pod", Namespace: "shop", Name: "db"}
	r, c := newClusterRig(t, func(cfg *Config, k *faults) {
		cfg.Links, cfg.CheckSources, cfg.Report, cfg.CheckInterval = w, true, written.write, 10*time.Millisecond
		cfg.Open = func() (dataplane.Dataplane, error) {
			dp, err := k.open()
			return countingKernel{&guardedKernel{dp.(*testKernel), &guards{}}, &mu, &list}, err
		}
	})
	w.result = hostlink.Result{Links: []hostlink.Link{{Key: db, Name: "veth1", Index: 7, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}}
	c <- store.Batch{Updated: objects(t, agenttest.Cluster, agenttest.AllowPort("5432"))}
	r.eventually("ready", func() bool { return r.status().Ready })
	drop := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, dataplane.SpoofedSource{Link: 7, Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), Packets: 3})
	}
	drop(1)
	r.eventually("the pod is named", func() bool {
		s := r.status().Spoofing
		return len(s) == 1 && s[0].Interface == "veth1" && s[0].Endpoint == "shop/db" && s[0].Packets == 3
	})
	if logs := r.logs.String(); strings.Count(logs, "a pod sends under another's address") != 1 || written.last().Report.Error != "" {
		t.Errorf("one source: %q\n%s", written.last().Report.Error, logs)
	}
	for n := range 10 {
		drop(n + 2)
	}
	r.eventually("the interface is said to lead to more", func() bool {
		return strings.Contains(written.last().Report.Error, "packets of many sources that come in by interface veth1 are dropped: it is taken for that of shop/db alone")
	})
	if logs := r.logs.String(); strings.Count(logs, "may lead to more, which is cut off") != 1 {
		t.Errorf("many sources:\n%s", logs)
	}
	if _, m := r.get("/metrics"); !strings.Contains(m, `tierwall_spoofing_interfaces{sources="many"} 1`) {
		t.Error("no metric says so")
	}
}

// bareKernel is a dataplane that can do nothing beside enforcing tables.
type bareKernel struct{ dataplane.Dataplane }

// TestUnsupported: what is asked for and the dataplane cannot do is refused, and nothing is in force
// then; what is not asked for is none of its business.
func TestUnsupported(t *testing.T) {
	for setting, tweak := range map[string]func(*Config){
		"--check-sources":     func(cfg *Config) { cfg.Links, cfg.CheckSources = &wires{}, true },
		"--deny-unknown-pods": func(cfg *Config) { cfg.DenyUnknown = true },
		"--dns-servers": func(cfg *Config) {
			cfg.DNS = &dnslearner.Config{Servers: []netip.Addr{netip.MustParseAddr("192.0.2.53")}}
		},
		"": func(*Config) {},
	} {
		t.Run(setting, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, k := make(cluster), &faults{}
			cfg := Config{
				Source: c, Node: "here", RunDir: t.TempDir(), Log: discard,
				Open: func() (dataplane.Dataplane, error) {
					dp, err := k.open()
					return bareKernel{dp}, err
				},
			}
			tweak(&cfg)
			a, err := newAgent(cfg, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer a.close()
			done := make(chan error, 1)
			go func() { done <- a.loop(ctx) }()
			c <- store.Batch{Updated: objects(t, agenttest.Cluster)}
			if setting == "" {
				<-a.FirstInForce()
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				return
			}
			if err := <-done; !errors.Is(err, dataplane.ErrUnsupported) || !strings.Contains(err.Error(), setting) {
				t.Errorf("got %v, want that %s is not supported", err, setting)
			}
			if len(k.steps) > 0 {
				t.Error("something is in force")
			}
		})
	}
}
