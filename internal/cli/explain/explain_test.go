package explain

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/cli/ends/endstest"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// flowOf are those of `explain --protocol P --port N`, all others absent.
func flowOf(protocol policy.Protocol, port string) *flowOptions {
	return &flowOptions{protocol: protocol.String(), proto: protocol, port: port}
}

func TestExplainText(t *testing.T) {
	tests := []struct {
		name, from, to, port string
		want                 string
	}{
		{
			name: "denied at the end of a tier", from: "web/web-1", to: "data/postgres-0", port: "5432",
			want: `DENIED  web/Pod/web-1 (10.0.0.1) -> data/Pod/postgres-0 (10.0.0.2), TCP port 5432 from port 49152
  ingress denied by the end of tier default: no rule of the 2 policies that apply decides
  from labels: app=web, ns=web
  to labels:   app=db, ns=data

Egress from web/Pod/web-1: allowed, no policy applies to its egress
     tier platform: skipped, its one egress policy does not apply here

Ingress to data/Pod/postgres-0: denied
     tier security (order 100)
       GlobalNetworkPolicy security.block-bad (order 10)
         rule 0  Deny   no match: source web/Pod/web-1 is not in reputation == 'bad'
         rule 1  Log    match: recorded, the next rule is asked
  ->   end of tier: no rule decided, the default action is Pass: on to the next tier
     tier platform: skipped, its one ingress policy does not apply here
     tier default (order 1000000)
       KubernetesNetworkPolicy data/allow-api (order 1000)
         rule 0  Allow  no match: source web/Pod/web-1 is not in app == 'api'
                             nor: source web/Pod/web-1 is not in app == 'backup'
         rule 1  Allow  no match: source web/Pod/web-1 is not in 192.0.2.0/24
         rule 2  Allow  no match: source port 49152 is not in 50000:50010
       NetworkPolicy data/empty (no order: last)
         no rules
  =>   end of tier: no rule decided, the default action is Deny

Note: rules tell ephemeral source ports apart: this is the answer for 49152:49999; allowed from 50000:50010, denied from 50011:65535 (ask with --source-port)
`,
		},
		{
			name: "allowed by a rule, from outside", from: "192.0.2.1", to: "data/pod/postgres-0", port: "postgres",
			want: `ALLOWED  192.0.2.1 -> data/Pod/postgres-0 (10.0.0.2), TCP port 5432
  ingress allowed by rule 1 of KubernetesNetworkPolicy data/allow-api in tier default (data.yaml:7)
  to labels:   app=db, ns=data

Egress from 192.0.2.1: allowed, no endpoint has this address, policy has no say

Ingress to data/Pod/postgres-0: allowed
     tier security (order 100)
       GlobalNetworkPolicy security.block-bad (order 10)
         rule 0  Deny   no match: source 192.0.2.1 is not in reputation == 'bad'
         rule 1  Log    match: recorded, the next rule is asked
  ->   end of tier: no rule decided, the default action is Pass: on to the next tier
     tier platform: skipped, its one ingress policy does not apply here
     tier default (order 1000000)
       KubernetesNetworkPolicy data/allow-api (order 1000) data.yaml:7
         rule 0  Allow  no match: source 192.0.2.1 is not in app == 'api'
                             nor: source 192.0.2.1 is not in app == 'backup'
  =>     rule 1  Allow  match
`,
		},
		{
			name: "an endpoint without profile, with two addresses", from: "node/node-1", to: "vms/vm-1", port: "22",
			want: `DENIED  node/node-1 (172.16.0.1) -> vms/WorkloadEndpoint/vm-1 (10.0.0.9), TCP port 22
  ingress denied by default: no tier decided, and the endpoint has no profile
  to labels:   app=vm, ns=vms

Egress from node/node-1: allowed, a node is no endpoint, policy has no say

Ingress to vms/WorkloadEndpoint/vm-1: denied
     tier security (order 100)
       GlobalNetworkPolicy security.block-bad (order 10)
         rule 0  Deny   no match: source 172.16.0.1 is not in reputation == 'bad'
         rule 1  Log    match: recorded, the next rule is asked
  ->   end of tier: no rule decided, the default action is Pass: on to the next tier
     tier platform: skipped, its one ingress policy does not apply here
     tier default: skipped, none of its 2 ingress policies applies here
  => no profile: no tier decided, and without a profile the default is Deny (a WorkloadEndpoint gets one by spec.profiles, or as a pod by orchestrator: k8s)

Note: vms/WorkloadEndpoint/vm-1 has 2 IPv4 addresses: 10.0.0.9 is used; give another one instead of the name to ask for it
`,
		},
		{
			name: "a node to a pod on it", from: "172.16.0.1", to: "web/web-1", port: "80",
			want: `ALLOWED  node/node-1 (172.16.0.1) -> web/Pod/web-1 (10.0.0.1), TCP port 80
  a node always reaches the pods on it, whatever the policies say
  to labels:   app=web, ns=web

Egress from node/node-1: allowed, a node is no endpoint, policy has no say

Ingress to web/Pod/web-1: allowed, a node always reaches the pods on it
`,
		},
		{
			name: "a workload's first pod", from: "api/rollout/api", to: "web/web-1", port: "80",
			want: `ALLOWED  api/Pod/api-1 (10.0.0.21) -> web/Pod/web-1 (10.0.0.1), TCP port 80
  ingress allowed by profile kns.web: no tier decided
  from labels: app=api, ns=api
  to labels:   app=web, ns=web

Egress from api/Pod/api-1: allowed, no policy applies to its egress
     tier platform: skipped, its one egress policy does not apply here

Ingress to web/Pod/web-1: allowed
     tier security (order 100)
       GlobalNetworkPolicy security.block-bad (order 10)
         rule 0  Deny   no match: source api/Pod/api-1 is not in reputation == 'bad'
         rule 1  Log    match: recorded, the next rule is asked
  ->   end of tier: no rule decided, the default action is Pass: on to the next tier
     tier platform: skipped, its one ingress policy does not apply here
     tier default: skipped, none of its 2 ingress policies applies here
  => profile kns.web: no tier decided, the profile allows all

Note: api/Pod/api-1 stands for api/Rollout/api; the verdict is another for api/Pod/api-2
`,
		},
		{
			name: "a pod to itself", from: "10.0.0.2", to: "data/postgres-0", port: "1",
			want: `ALLOWED  data/Pod/postgres-0 (10.0.0.2) -> data/Pod/postgres-0 (10.0.0.2), TCP port 1
  an endpoint always reaches itself, whatever the policies say
  from labels: app=db, ns=data
  to labels:   app=db, ns=data

Egress from data/Pod/postgres-0: allowed, an endpoint always reaches itself

Ingress to data/Pod/postgres-0: allowed, an endpoint always reaches itself
`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x, err := explain(endstest.Resolver(), test.from, test.to, flowOf(policy.TCP, test.port))
			if err != nil {
				t.Fatal(err)
			}
			x.place = func(k policy.Key) string {
				if k.Name == "allow-api" && test.from == "192.0.2.1" {
					return "data.yaml:7"
				}
				return ""
			}
			if diff := cmp.Diff(test.want, explainText(x, output.Style{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestExplainErrors(t *testing.T) {
	web, db := "web/web-1", "data/postgres-0"
	tests := []struct {
		from, to string
		flow     *flowOptions
		want     string
	}{
		{"web/wbe-1", db, flowOf(policy.TCP, "1"),
			`--from web/wbe-1: no such pod or workload in namespace web; did you mean "web/web-1"?`},
		{"wbe/web-1", db, flowOf(policy.TCP, "1"),
			`--from wbe/web-1: no pod or workload is in namespace wbe; did you mean "web/Pod/web-1"?`},
		{"wbe/x", db, flowOf(policy.TCP, "1"),
			`--from wbe/x: no pod or workload is in namespace wbe; did you mean "web"?`},
		{web, "data/whatever-it-is", flowOf(policy.TCP, "1"),
			`--to data/whatever-it-is: no such pod or workload in namespace data; it holds cache, postgres-0`},
		{web, "data/cache", flowOf(policy.TCP, "1"),
			`--to data/cache: several workloads have this name: write data/Deployment/cache or data/StatefulSet/cache`},
		{web, "data/daemonset/cache", flowOf(policy.TCP, "1"),
			`--to data/daemonset/cache: no such DaemonSet in namespace data; did you mean "data/Deployment/cache" or "data/StatefulSet/cache"?`},
		{web, "data/deplyment/cache", flowOf(policy.TCP, "1"),
			`--to data/deplyment/cache: unknown kind "deplyment"; did you mean "Deployment"?`},
		{web, "data/gizmo/cache", flowOf(policy.TCP, "1"),
			`--to data/gizmo/cache: unknown kind "gizmo": expected Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob or WorkloadEndpoint`},
		{web, "data/svc/db", flowOf(policy.TCP, "1"),
			`--to data/svc/db: the files hold no Services`},
		{"web-1", db, flowOf(policy.TCP, "1"),
			`--from web-1: a name needs its namespace (NAMESPACE/NAME); an IP address or node/NAME will do as well; did you mean "web/Pod/web-1"?`},
		{"a/b/c/d", db, flowOf(policy.TCP, "1"),
			`--from a/b/c/d: too many slashes: expected NAMESPACE/NAME or NAMESPACE/KIND/NAME`},
		{" ", db, flowOf(policy.TCP, "1"),
			`--from  : expected NAMESPACE/NAME, NAMESPACE/KIND/NAME, an IP address, node/NAME or host/NAME`},
		{"10.0.0.0/24", db, flowOf(policy.TCP, "1"),
			`--from 10.0.0.0/24: expected one address, not a range of them: for example 10.0.0.0`},
		{"fe80::1%eth0", db, flowOf(policy.TCP, "1"),
			`--from fe80::1%eth0: expected an address without a zone: fe80::1`},
		{web, "web/on-host", flowOf(policy.TCP, "1"),
			`--to web/on-host: it uses its node's network, and no status.hostIP says which address that is: name the node (node/NAME) or its address instead`},
		{web, "web/ds/hosts", flowOf(policy.TCP, "1"),
			`--to web/ds/hosts: it uses its node's network, and no status.hostIP says which address that is: name the node (node/NAME) or its address instead`},
		{"node/node-3", db, flowOf(policy.TCP, "1"),
			`--from node/node-3: no such node; did you mean "node/node-1" or "node/node-2"?`},
		{"node/node-2", db, flowOf(policy.TCP, "1"),
			`--from node/node-2: the node's address is unknown: no pod on it has status.hostIP; give its IP address instead`},
		{web, "2001:db8::2", flowOf(policy.TCP, "1"),
			`web/Pod/web-1 is IPv4 and data/Pod/postgres-0 is IPv6: they have no family in common`},
		{web, db, &flowOptions{proto: policy.TCP, port: "1", family: 6},
			`--family 6: web/Pod/web-1 has no IPv6 address`},
		{web, db, flowOf(policy.TCP, "postgrse"),
			`--port postgrse: data/Pod/postgres-0 gives no TCP port this name; did you mean "postgres"?`},
		{web, db, flowOf(policy.TCP, "x"),
			`--port x: data/Pod/postgres-0 gives no TCP port this name; its names are postgres, metrics`},
		{web, db, flowOf(policy.TCP, "65536"),
			`--port: "65536" is no port: expected a number from 1 to 65535`},
		{web, "192.0.2.1", flowOf(policy.TCP, "http"),
			`--port: "http" is no port: expected a number from 1 to 65535`},
		{web, db, flowOf(policy.ICMPv6, ""),
			`--protocol ICMPv6: the connection is IPv4: did you mean ICMP, or --family 6?`},
		{"2001:db8::1", db, flowOf(policy.ICMP, ""),
			`--protocol ICMP: the connection is IPv6: did you mean ICMPv6?`},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			_, err := explain(endstest.Resolver(), test.from, test.to, test.flow)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestEphemeralSpans holds what explain says of all ephemeral ports against
// each port for itself.
func TestEphemeralSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := endstest.Model()
		ports := rapid.Custom(func(t *rapid.T) *policy.Ports {
			first := rapid.Uint16Min(49000).Draw(t, "first")
			p := &policy.Ports{Ranges: []policy.PortRange{{First: first, Last: rapid.Uint16Min(first).Draw(t, "last")}}}
			if rapid.Bool().Draw(t, "named") {
				p.Names = []string{"high"}
			}
			return p
		})
		for i := range m.Policies[2].Rules[policy.Ingress] {
			source := &m.Policies[2].Rules[policy.Ingress][i].Source
			*source = policy.Peer{Ports: ports.Draw(t, "ports"), NotPorts: ports.Draw(t, "notPorts")}
		}
		m.Endpoints[0].Ports = []policy.NamedPort{{Name: "high", Protocol: policy.TCP, Port: rapid.Uint16Min(49000).Draw(t, "high")}}
		flow := policy.Flow{
			Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), Protocol: policy.TCP, DstPort: 5432,
		}
		checkSpans(t, m, flow)
	})
}

// TestEphemeralSpansOfAnswers is TestEphemeralSpans where hosts do not track, so that
// answers are asked about.
func TestEphemeralSpansOfAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.ModelsWithHosts().Draw(t, "model")
		flows := modeltest.Flows(m)
		for range 40 {
			if flow := flows.Draw(t, "flow"); flow.Protocol.HasPorts() {
				checkSpans(t, m, flow)
			}
		}
	})
}

func checkSpans(t *rapid.T, m *policy.Model, flow policy.Flow) {
	evaluator := evaluate.New(m)
	next := firstEphemeral
	for _, span := range ephemeralSpans(evaluator, m, flow) {
		if int(span.First) != next {
			t.Fatalf("span begins at %d, want %d", span.First, next)
		}
		for _, port := range []uint16{span.First, span.Last, rapid.Uint16Range(span.First, span.Last).Draw(t, "port")} {
			flow.SrcPort = port
			if got := evaluator.Evaluate(flow); !sameAnswer(got, span.result) {
				t.Fatalf("port %d of %s: %+v, want %+v", port, span.PortRange, got, span.result)
			}
		}
		next = int(span.Last) + 1
	}
	if next != lastEphemeral+1 {
		t.Fatalf("spans end before %d", next)
	}
}
