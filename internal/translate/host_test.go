package translate_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

const twoHosts = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: b, labels: {role: db}}
spec:
  node: n1
  interfaceName: eth0
  expectedIPs: [192.0.2.1, "fd00::1"]
  ports: [{name: sql, protocol: TCP, port: 5432}]
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: a}
spec: {node: n2, interfaceName: eth0, profiles: [projectcalico-default-allow]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: early}
spec: {preDNAT: true, applyOnForward: true, selector: role == 'db', ingress: [{action: Deny}]}
`

func TestHostEndpoints(t *testing.T) {
	tr := translate.New(translate.Options{})
	for _, s := range tr.ApplySorted(store.Batch{Updated: read(t, twoHosts)}).Statuses {
		if len(s.Findings) > 0 || s.State != translate.InForce && s.Key.Kind != policy.KindTier {
			t.Errorf("%v: %v %v", s.Key, s.State, s.Findings)
		}
	}
	m := tr.Model()
	want := map[string]*policy.Endpoint{
		"a": {
			Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "a"}, Node: "n2", Interface: "eth0",
			Profiles: []string{"projectcalico-default-allow"}, Precedence: 1, Host: &policy.Host{},
		},
		"b": {
			Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "b"}, Node: "n1", Interface: "eth0", Precedence: 1,
			Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fd00::1")},
			Ports: []policy.NamedPort{{Name: "sql", Protocol: policy.TCP, Port: 5432}},
		},
	}
	want["b"].Host = &policy.Host{Expected: want["b"].Addrs}
	for _, ep := range m.Endpoints {
		got := *ep
		got.Labels = nil
		if diff := cmp.Diff(want[ep.Key.Name], &got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%v (-want +got):\n%s", ep.Key, diff)
		}
	}
	if diff := cmp.Diff(policy.HostOptions{ApplyOnForward: true, PreDNAT: true}, m.Policies[0].Host); diff != "" {
		t.Error(diff)
	}
}

// Of two host endpoints of one interface the first by name is in force, whichever
// came first, and the other one comes when that goes.
func TestHostEndpointsOfOneInterface(t *testing.T) {
	tr := translate.New(translate.Options{})
	tr.ApplySorted(store.Batch{Updated: read(t, twoHosts)})
	first, _, _ := strings.Cut(twoHosts, "---")
	tr.ApplySorted(store.Batch{Updated: read(t, strings.Replace(first, "name: b", "name: aa", 1))})
	state := func(name string) translate.State {
		return tr.Status(policy.Key{Kind: policy.KindHostEndpoint, Name: name}).State
	}
	if state("aa") != translate.InForce || state("b") != translate.NotInForce {
		t.Errorf("aa is %v, b is %v", state("aa"), state("b"))
	}
	findings := tr.Status(policy.Key{Kind: policy.KindHostEndpoint, Name: "b"}).Findings
	if len(findings) != 1 || !strings.Contains(findings[0].Error(), `HostEndpoint aa is for interface "eth0" of node n1 already`) {
		t.Errorf("findings: %v", findings)
	}
	tr.Delete(policy.Key{Kind: policy.KindHostEndpoint, Name: "aa"})
	if state("b") != translate.InForce {
		t.Errorf("b is %v when aa is gone", state("b"))
	}
}
