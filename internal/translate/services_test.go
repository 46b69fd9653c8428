package translate_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

const servicePolicies = `
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: web, labels: {app: client}}
status: {podIP: 10.0.1.1}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: out, namespace: web}
spec:
  selector: app == 'client'
  types: [Egress, Ingress]
  egress: [{action: Allow, destination: {services: {name: db, namespace: data}}}]
  ingress: [{action: Allow, source: {services: {name: db, namespace: data}}}]
---
`

const dbSlices = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-a, namespace: data, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 5432}, {name: dns, port: 53, protocol: UDP}, {name: unknown}]
endpoints: [{addresses: [10.0.2.1]}, {addresses: [10.0.2.2], conditions: {ready: false}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-b, namespace: data, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 6432}]
endpoints: [{addresses: [10.0.2.3]}, {addresses: [10.0.2.1]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-c, namespace: data, labels: {kubernetes.io/service-name: db}}
addressType: FQDN
ports: [{port: 5432}]
endpoints: [{addresses: [db.example]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: other, namespace: web, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{port: 5432}]
endpoints: [{addresses: [10.0.3.1]}]
---
`

const dbService = `
apiVersion: v1
kind: Service
metadata: {name: db, namespace: data}
spec: {clusterIP: 10.96.0.5, selector: {app: db}, ports: [{port: 80, targetPort: 5432}, {port: 53, protocol: UDP}]}
---
`

// verdicts says what may be connected with the client, each as "to tcp 10.0.2.1:53".
func verdicts(m *policy.Model) []string {
	client := netip.MustParseAddr("10.0.1.1")
	e := evaluate.New(m)
	var out []string
	for _, text := range []string{"10.0.2.1", "10.0.2.2", "10.0.2.3", "10.0.2.4", "10.0.3.1", "10.96.0.5"} {
		peer := netip.MustParseAddr(text)
		for _, protocol := range []policy.Protocol{policy.TCP, policy.UDP} {
			for _, port := range []uint16{53, 80, 5432, 6432} {
				f := policy.Flow{Src: client, Dst: peer, Protocol: protocol, SrcPort: 40000, DstPort: port}
				if e.Evaluate(f).Egress.Verdict == policy.Allow {
					out = append(out, "to "+netip.AddrPortFrom(peer, port).String()+" "+protocol.String())
				}
			}
		}
		if e.Evaluate(policy.Flow{Src: peer, Dst: client, Protocol: policy.TCP, SrcPort: 1, DstPort: 1}).Ingress.Verdict == policy.Allow {
			out = append(out, "from "+text)
		}
	}
	return out
}

func TestServices(t *testing.T) {
	pods := strings.Join([]string{
		`{apiVersion: v1, kind: Pod, metadata: {name: db-1, namespace: data, labels: {app: db}}, spec: {containers: [{ports: [{name: sql, containerPort: 6432}]}]}, status: {podIP: 10.0.2.1}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: db-2, namespace: data, labels: {app: db}}, spec: {containers: []}, status: {podIP: 10.0.2.2}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: db-3, namespace: data, labels: {app: other}}, spec: {containers: []}, status: {podIP: 10.0.2.3}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: db-4, namespace: web, labels: {app: db}}, spec: {containers: []}, status: {podIP: 10.0.2.4}}`, ""}, "\n---\n")
	for _, tt := range []struct {
		name, more string
		want       []string
	}{
		{"slices", dbSlices, []string{
			"to 10.0.2.1:5432 TCP", "to 10.0.2.1:6432 TCP", "to 10.0.2.1:53 UDP", "from 10.0.2.1",
			"to 10.0.2.2:5432 TCP", "to 10.0.2.2:53 UDP", "from 10.0.2.2",
			"to 10.0.2.3:6432 TCP", "from 10.0.2.3",
		}},
		{"slices come before what the service selects", dbSlices + dbService + pods, []string{
			"to 10.0.2.1:5432 TCP", "to 10.0.2.1:6432 TCP", "to 10.0.2.1:53 UDP", "from 10.0.2.1",
			"to 10.0.2.2:5432 TCP", "to 10.0.2.2:53 UDP", "from 10.0.2.2",
			"to 10.0.2.3:6432 TCP", "from 10.0.2.3",
		}},
		{"what the service selects", dbService + pods, []string{
			"to 10.0.2.1:5432 TCP", "to 10.0.2.1:53 UDP", "from 10.0.2.1",
			"to 10.0.2.2:5432 TCP", "to 10.0.2.2:53 UDP", "from 10.0.2.2",
		}},
		{"ports by name", strings.Replace(dbService, "targetPort: 5432", "targetPort: sql", 1) + pods, []string{
			"to 10.0.2.1:6432 TCP", "to 10.0.2.1:53 UDP", "from 10.0.2.1",
			"to 10.0.2.2:53 UDP", "from 10.0.2.2",
		}},
		{"no such service", "", nil},
		{"without endpoints", dbService, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, verdicts(load(t, servicePolicies+tt.more))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestServicesInStaged checks that staged policies refer to services as others do.
func TestServicesInStaged(t *testing.T) {
	opts := translate.Options{Offline: true}
	resources := read(t, strings.Replace(servicePolicies, "kind: NetworkPolicy", "kind: StagedNetworkPolicy", 1)+dbSlices)
	loaded := translate.Load(resources, nil, opts)
	m, _ := translate.LoadPending(resources, &loaded, opts)
	want := verdicts(load(t, servicePolicies+dbSlices))
	if d := cmp.Diff(want, verdicts(m)); d != "" {
		t.Errorf("(-enforced +staged):\n%s", d)
	}
}

// TestServiceSetsAreNobodyElses checks that the addresses of a service do not
// become those of selectors.
func TestServiceSetsAreNobodyElses(t *testing.T) {
	m := load(t, servicePolicies+dbSlices+`
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: p}
spec:
  order: 1
  selector: app == 'client'
  types: [Egress]
  egress:
  - {action: Deny, destination: {selector: "all()"}}
  - {action: Deny, destination: {selector: "!has(x)"}}
  - {action: Deny, destination: {notSelector: "has(x)", namespaceSelector: "global()"}}
`)
	f := policy.Flow{Src: netip.MustParseAddr("10.0.1.1"), Dst: netip.MustParseAddr("10.0.2.2"), Protocol: policy.TCP, SrcPort: 1, DstPort: 5432}
	if got := evaluate.New(m).Evaluate(f); got.Verdict != policy.Allow {
		t.Errorf("denied by %+v", got.Egress.By)
	}
}

// TestEndpointsChangeSetsOnly checks that pods behind a service come and go
// without any change of a policy.
func TestEndpointsChangeSetsOnly(t *testing.T) {
	slice := func(addrs string) store.Resource {
		return read(t, `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: db-a, namespace: data, labels: {kubernetes.io/service-name: db}}, addressType: IPv4, ports: [{port: 5432}], endpoints: [`+addrs+`]}`)[0]
	}
	tr := translate.New(translate.Options{})
	tr.ApplySorted(store.Batch{Updated: read(t, servicePolicies+strings.Replace(dbService, ", {port: 53, protocol: UDP}", "", 1))})
	want := [][]policy.Key{
		{{Kind: "Service", Namespace: "data", Name: "db"}, {Kind: "Service", Namespace: "data", Name: "db TCP:5432"}},
	}
	for i, addrs := range []string{`{addresses: [10.0.2.1]}`, `{addresses: [10.0.2.1]}, {addresses: [10.0.2.2]}`, ``} {
		var got []policy.Key
		for _, c := range tr.Update(slice(addrs)).Changes {
			got = append(got, c.Key)
		}
		if d := cmp.Diff(want[0], got); d != "" {
			t.Errorf("step %d (-want +got):\n%s", i, d)
		}
	}
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "web", Name: "out"}
	var gone []policy.Key
	for _, c := range tr.Delete(key).Changes {
		if c.Object != nil {
			t.Errorf("%v is left", c.Key)
		}
		gone = append(gone, c.Key)
	}
	if d := cmp.Diff(append(slices.Clone(want[0]), key), gone); d != "" {
		t.Errorf("gone with the policy (-want +got):\n%s", d)
	}
}

// TestMissingServiceIsNoted checks that a policy is in force though its service
// does not exist, and says so until it does.
func TestMissingServiceIsNoted(t *testing.T) {
	tr := translate.New(translate.Options{})
	tr.ApplySorted(store.Batch{Updated: read(t, servicePolicies)})
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "web", Name: "out"}
	s := tr.Status(key)
	if s.State != translate.InForce || len(s.Findings) != 1 || !s.Findings[0].Note ||
		s.Findings[0].Message != `refers to service data/db, which does not exist, so that what refers to it matches nothing` {
		t.Errorf("got %+v", s)
	}
	tr.ApplySorted(store.Batch{Updated: read(t, dbService)})
	if s := tr.Status(key); s.State != translate.InForce || len(s.Findings) != 0 {
		t.Errorf("with the service: %+v", s)
	}
	tr.Delete(policy.Key{Kind: policy.KindService, Namespace: "data", Name: "db"})
	if s := tr.Status(key); len(s.Findings) != 1 {
		t.Errorf("without it again: %+v", s)
	}
}
