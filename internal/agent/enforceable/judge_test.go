package enforceable

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/policy"
)

func pod(name string) policy.Key {
	return policy.Key{Kind: policy.KindPod, Namespace: "web", Name: name}
}

// TestJudge is data only: this kernel has no IPVS, IPVLAN, Open vSwitch, flowtables and VLAN-aware bridges.
func TestJudge(t *testing.T) {
	a, b := pod("a"), pod("b")
	vm := policy.Key{Kind: "WorkloadEndpoint", Namespace: "web", Name: "vm"}
	v4 := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	own := hostlink.Link{Key: a, Name: "veth1", Index: 7, Addrs: v4}
	onBridge := hostlink.Link{Key: a, Name: "veth1", Index: 7, Addrs: v4, Bridge: "cni0", BridgeIndex: 3}
	for _, tt := range []struct {
		name      string
		links     hostlink.Result
		programs  Programs
		endpoints []policy.Key
		want      []Finding
	}{
		{name: "nothing", endpoints: []policy.Key{a, b}, links: hostlink.Result{Links: []hostlink.Link{own}, Unknown: []hostlink.Unknown{{Key: b, Cause: hostlink.NotYet}}}},
		{name: "nobody to be concerned", links: hostlink.Result{Interfaces: []hostlink.Interface{{Name: "kube-ipvs0"}}}},
		{name: "kube-proxy in IPVS mode", endpoints: []policy.Key{a, vm},
			links: hostlink.Result{Interfaces: []hostlink.Interface{{Name: "kube-ipvs0", Type: "dummy"}}},
			want:  []Finding{{Reason{Cause: IPVS, Subject: "kube-ipvs0"}, []policy.Key{a, vm}}}},
		{name: "a bridge that bypasses", endpoints: []policy.Key{a, b},
			links: hostlink.Result{
				Links:  []hostlink.Link{onBridge, {Key: b, Name: "veth2", Bridge: "docker0"}},
				Bypass: []hostlink.Bypass{{Bridge: "cni0", Family: 4}, {Bridge: "cni0", Family: 6}},
			},
			want: []Finding{{Reason{BridgeBypass, "cni0", 4}, []policy.Key{a}}, {Reason{BridgeBypass, "cni0", 6}, []policy.Key{a}}}},
		{name: "a bridge that tags", endpoints: []policy.Key{a},
			links: hostlink.Result{Links: []hostlink.Link{onBridge}, Bypass: []hostlink.Bypass{{Bridge: "cni0", Tagged: true}}},
			want:  []Finding{{Reason{Cause: TaggedBridge, Subject: "cni0"}, []policy.Key{a}}}},
		{name: "a device in the pod", endpoints: []policy.Key{a, vm},
			links: hostlink.Result{Unknown: []hostlink.Unknown{{Key: a, Cause: hostlink.NoWay}, {Key: vm, Cause: hostlink.NoWay}}},
			want:  []Finding{{Reason{Cause: NoHostInterface}, []policy.Key{a}}}},
		{name: "no longer an endpoint", endpoints: []policy.Key{a}, links: hostlink.Result{Unknown: []hostlink.Unknown{{Key: b, Cause: hostlink.NoWay}}}},
		{name: "ipvlan, by the plugin's word", endpoints: []policy.Key{a},
			links: hostlink.Result{
				Unknown:    []hostlink.Unknown{{Key: a, Cause: hostlink.Unfit, Interface: "ipvl0"}},
				Interfaces: []hostlink.Interface{{Name: "ipvl0", Index: 4, Type: "ipvlan"}},
			},
			want: []Finding{{Reason{Cause: SharedDevice, Subject: "ipvl0 (ipvlan)"}, []policy.Key{a}}}},
		{name: "a virtual machine at a macvtap", endpoints: []policy.Key{vm},
			links: hostlink.Result{
				Links:      []hostlink.Link{{Key: vm, Name: "macvtap0", Index: 4}},
				Interfaces: []hostlink.Interface{{Name: "macvtap0", Index: 4, Type: "macvtap"}},
			},
			want: []Finding{{Reason{Cause: SharedDevice, Subject: "macvtap0 (macvtap)"}, []policy.Key{vm}}}},
		{name: "an uplink named by the plugin", endpoints: []policy.Key{a},
			links: hostlink.Result{
				Unknown:    []hostlink.Unknown{{Key: a, Cause: hostlink.Unfit, Interface: "eth0"}},
				Interfaces: []hostlink.Interface{{Name: "eth0", Index: 4, Type: "veth"}},
			}},
		{name: "Open vSwitch", endpoints: []policy.Key{a},
			links: hostlink.Result{
				Links:      []hostlink.Link{own},
				Interfaces: []hostlink.Interface{{Name: "ovs-system", Index: 2, Type: "openvswitch"}, {Name: "veth1", Index: 7, Type: "veth", Master: 2}},
			},
			want: []Finding{{Reason{Cause: OpenVSwitch, Subject: "veth1"}, []policy.Key{a}}}},
		{name: "Cilium", endpoints: []policy.Key{a, b},
			links: hostlink.Result{
				Links:      []hostlink.Link{{Key: a, Name: "lxc0a1b2c", Index: 7}, {Key: b, Name: "eni1", Index: 8}},
				Interfaces: []hostlink.Interface{{Name: "cilium_net"}, {Name: "cilium_host"}, {Name: "lxc0a1b2c", Index: 7}, {Name: "eni1", Index: 8}},
			},
			programs: Programs{Engines: []string{"Cilium"}, Filters: []Filter{{"eni1", "cil_from_container-eni1"}, {"eni9", "cil_from_container-eni9"}}},
			want: []Finding{
				{Reason{Cause: EBPF, Subject: "Cilium"}, []policy.Key{a, b}},
				{Reason{Cause: SecondEngine, Subject: "Cilium"}, []policy.Key{a, b}},
			}},
		{name: "other engines", endpoints: []policy.Key{a}, links: hostlink.Result{Links: []hostlink.Link{own}},
			programs: Programs{Engines: []string{"kube-router"}, Filters: []Filter{{"veth1", "handle_ingress"}, {"veth1", "observer"}}},
			want: []Finding{
				{Reason{Cause: SecondEngine, Subject: "kube-router"}, []policy.Key{a}},
				{Reason{Cause: SecondEngine, Subject: "the AWS network policy agent"}, []policy.Key{a}},
			}},
		{name: "offload and redirection", endpoints: []policy.Key{a}, links: hostlink.Result{Links: []hostlink.Link{own}},
			programs: Programs{Flowtables: []string{"flowtable f of table router"}, Filters: []Filter{{"veth1", ""}, {"veth3", ""}}},
			want: []Finding{
				{Reason{Cause: FlowOffload, Subject: "flowtable f of table router"}, []policy.Key{a}},
				{Reason{Cause: Redirect, Subject: "veth1"}, []policy.Key{a}},
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Judge(Host{Links: tt.links, Programs: tt.programs}, tt.endpoints)
			if len(got) == 0 {
				got = nil
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReasons: each says what happens, to whom, and what to do.
func TestReasons(t *testing.T) {
	for _, c := range Causes() {
		r := Reason{Cause: c, Subject: "subject0", Family: 4}
		if r.What() == string(c)+" subject0" || r.Fix() == (Reason{}).Fix() {
			t.Errorf("%s has no words of its own: %s", c, r)
		}
		if c != NoHostInterface && !strings.Contains(r.String(), "subject0") {
			t.Errorf("%s does not say where: %s", c, r)
		}
	}
	got := Reason{BridgeBypass, "cni0", 6}.String()
	if want := "IPv6 packets between pods on bridge cni0 bypass policy: load the kernel module br_netfilter and set net.bridge.bridge-nf-call-ip6tables=1"; got != want {
		t.Errorf("got %s", got)
	}
	if (hostlink.Bypass{Bridge: "cni0", Family: 6}).String() != got {
		t.Error("package hostlink says it otherwise")
	}
}

// TestJudgeProperty: whatever a host has, each finding concerns somebody who is an endpoint, once, and the order is one.
func TestJudgeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := []policy.Key{pod("a"), pod("b"), pod("c"), {Kind: "WorkloadEndpoint", Namespace: "web", Name: "d"}}
		names := []string{"kube-ipvs0", "cilium_host", "lxc1", "veth1", "veth2", "antrea-gw0", "ovs"}
		types := []string{"veth", "macvlan", "openvswitch", "bridge"}
		var h Host
		for i, name := range names {
			if rapid.Bool().Draw(t, "there") {
				h.Links.Interfaces = append(h.Links.Interfaces, hostlink.Interface{
					Name: name, Index: i + 1, Type: rapid.SampledFrom(types).Draw(t, "type"), Master: rapid.IntRange(0, len(names)).Draw(t, "master"),
				})
			}
		}
		for _, key := range keys {
			name := rapid.SampledFrom(names).Draw(t, "interface")
			if rapid.Bool().Draw(t, "found") {
				h.Links.Links = append(h.Links.Links, hostlink.Link{Key: key, Name: name, Bridge: rapid.SampledFrom([]string{"", "br"}).Draw(t, "bridge")})
			} else {
				h.Links.Unknown = append(h.Links.Unknown, hostlink.Unknown{Key: key, Interface: name, Cause: hostlink.Cause(rapid.IntRange(0, 2).Draw(t, "cause"))})
			}
			h.Programs.Filters = append(h.Programs.Filters, Filter{name, rapid.SampledFrom([]string{"", "cil_x", "other", "handle_egress"}).Draw(t, "program")})
		}
		h.Links.Bypass = []hostlink.Bypass{{Bridge: "br", Family: 4}, {Bridge: "br", Tagged: true}}
		endpoints := keys[:rapid.IntRange(0, len(keys)).Draw(t, "endpoints")]
		findings := Judge(h, endpoints)
		if !slices.IsSortedFunc(findings, func(a, b Finding) int { return a.Compare(b.Reason) }) {
			t.Fatal("not in order")
		}
		for i, f := range findings {
			if len(f.Endpoints) == 0 || i > 0 && findings[i-1].Reason == f.Reason {
				t.Fatalf("%+v", f)
			}
			for j, key := range f.Endpoints {
				if !slices.Contains(endpoints, key) || slices.Contains(f.Endpoints[:j], key) {
					t.Fatalf("%s of %v", key, f)
				}
			}
		}
		if n := len(Affected(findings)); n > len(endpoints) {
			t.Fatalf("%d affected", n)
		}
	})
}
