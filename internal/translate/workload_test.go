package translate_test

import (
	"math"
	"testing"

	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// podLabels are those that every pod of namespace web with service account sa
// has beside its own.
func podLabels(sa string, own ...string) []string {
	return append(own,
		"projectcalico.org/namespace", "web", "projectcalico.org/orchestrator", "k8s", "projectcalico.org/serviceaccount", sa,
		"pcns.projectcalico.org/name", "web", "pcns.kubernetes.io/metadata.name", "web", "pcsa.projectcalico.org/name", sa)
}

func TestPod(t *testing.T) {
	m := load(t, `
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Namespace
  metadata: {name: web, labels: {env: prod}}
- apiVersion: v1
  kind: ServiceAccount
  metadata: {name: front, namespace: web, labels: {role: x}}
- apiVersion: v1
  kind: Pod
  metadata:
    name: a
    namespace: web
    labels: {app: a, projectcalico.org/namespace: forged, pcsa.role: forged}
  spec:
    serviceAccountName: front
    nodeName: n1
    initContainers:
    - {name: done, image: x, ports: [{name: gone, containerPort: 1}]}
    - {name: sidecar, image: x, restartPolicy: Always, ports: [{name: metrics, containerPort: 9090}]}
    containers:
    - name: c
      image: x
      resources: {limits: {cpu: 100m, memory: 1Gi}}
      ports:
      - {name: http, containerPort: 80}
      - {name: dns, containerPort: 53, protocol: UDP}
      - {containerPort: 81}
  status:
    phase: Running
    podIP: 10.0.0.1
    podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]
    hostIP: 192.0.2.1
    someFieldOfTheFuture: 1
- apiVersion: v1
  kind: Pod
  metadata: {name: host, namespace: web}
  spec: {hostNetwork: true, nodeName: n2, containers: []}
  status: {podIP: 192.0.2.2, hostIP: 192.0.2.2}
- apiVersion: v1
  kind: Pod
  metadata: {name: finished, namespace: web}
  spec: {nodeName: n1, containers: []}
  status: {phase: Succeeded, podIP: 10.0.0.1}
- apiVersion: v1
  kind: Node
  metadata: {name: n1}
  status:
    addresses:
    - {type: InternalIP, address: 192.0.2.1}
    - {type: ExternalIP, address: 198.51.100.1}
    - {type: Hostname, address: n1.example}
`)
	diff(t, "endpoints", []*policy.Endpoint{{
		Key: policy.Key{Kind: "Pod", Namespace: "web", Name: "a"}, Node: "n1",
		Addrs: addrs("10.0.0.1", "fd00::1"),
		Labels: labels(podLabels("front", "app", "a", "own:projectcalico.org/namespace", "forged", "own:pcsa.role", "forged",
			"pcns.env", "prod", "pcsa.role", "x")...),
		Ports: []policy.NamedPort{
			{Name: "metrics", Protocol: policy.TCP, Port: 9090},
			{Name: "http", Protocol: policy.TCP, Port: 80},
			{Name: "dns", Protocol: policy.UDP, Port: 53},
		},
		Profiles: []string{"kns.web"},
	}}, m.Endpoints)
	diff(t, "nodes", []*policy.Node{
		{Name: "n1", Addrs: addrs("192.0.2.1", "198.51.100.1")},
		{Name: "n2", Addrs: addrs("192.0.2.2")},
	}, m.Nodes)
}

// TestWorkloads checks which endpoints stand for which workloads, and to whom
// pods belong.
func TestWorkloads(t *testing.T) {
	const template = `template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: x, ports: [{name: http, containerPort: 80}]}]}}`
	workload := func(version, kind, name, more, spec string) string {
		return "---\napiVersion: " + version + "\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: web" + more + "}\nspec: {" + spec + "}\n"
	}
	ownedBy := func(kind, name string) string {
		return ", ownerReferences: [{apiVersion: x, kind: " + kind + ", name: " + name + ", uid: u, controller: true}]"
	}
	pod := func(name, more string) string {
		return workload("v1", "Pod", name, more, "containers: []") + "status: {podIP: 10.0.0.1}\n"
	}
	hash := ", labels: {pod-template-hash: 5d4}"
	deployment := workload("apps/v1", "Deployment", "d", "", "selector: {}, "+template)
	replicaSet := func(name, replicas, more string) string {
		return workload("apps/v1", "ReplicaSet", name, more, "replicas: "+replicas+", selector: {}, "+template)
	}
	job := func(name, more string) string { return workload("batch/v1", "Job", name, more, template) }
	cronJob := workload("batch/v1", "CronJob", "c", "", "schedule: x, jobTemplate: {spec: {"+template+"}}")

	for _, tt := range []struct {
		name string
		yaml string
		want []string // endpoints, with "<" and the owner
	}{
		{"one of each", deployment + replicaSet("r", "1", "") + job("j", "") + cronJob +
			workload("apps/v1", "StatefulSet", "s", "", "serviceName: x, selector: {}, "+template) +
			workload("apps/v1", "DaemonSet", "ds", "", "selector: {}, "+template),
			[]string{"web/CronJob/c", "web/DaemonSet/ds", "web/Deployment/d", "web/Job/j", "web/ReplicaSet/r", "web/StatefulSet/s"}},
		{"pods of a Deployment, with its ReplicaSets", deployment +
			replicaSet("d-5d4", "1", ownedBy("Deployment", "d")) + replicaSet("d-old", "0", ownedBy("Deployment", "d")) +
			pod("d-5d4-x", ownedBy("ReplicaSet", "d-5d4")),
			[]string{"web/Pod/d-5d4-x < web/Deployment/d"}},
		{"pods of a Deployment, without its ReplicaSets", deployment + pod("d-5d4-x", ownedBy("ReplicaSet", "d-5d4")+hash),
			[]string{"web/Pod/d-5d4-x < web/Deployment/d"}},
		{"pods alone", pod("d-5d4-x", ownedBy("ReplicaSet", "d-5d4")+hash) + pod("r-x", ownedBy("ReplicaSet", "r")),
			[]string{"web/Pod/d-5d4-x < web/Deployment/d", "web/Pod/r-x < web/ReplicaSet/r"}},
		{"a Deployment whose pods are not there yet", deployment + replicaSet("d-5d4", "1", ownedBy("Deployment", "d")),
			[]string{"web/Deployment/d"}},
		{"a ReplicaSet whose Deployment is not there", replicaSet("d-5d4", "1", ownedBy("Deployment", "d")),
			[]string{"web/ReplicaSet/d-5d4 < web/Deployment/d"}},
		{"a Job of a CronJob", cronJob + job("c-1", ownedBy("CronJob", "c")) + pod("c-1-x", ownedBy("Job", "c-1")),
			[]string{"web/Pod/c-1-x < web/CronJob/c"}},
		{"a Job of a CronJob, not there", cronJob + pod("c-1-x", ownedBy("Job", "c-1")),
			[]string{"web/Pod/c-1-x < web/CronJob/c"}},
		{"a Job that has ended", job("j", "") + "status: {conditions: [{type: Complete, status: \"True\"}]}\n", nil},
		{"a workload on its hosts' network", workload("apps/v1", "DaemonSet", "ds", "", "selector: {}, template: {spec: {hostNetwork: true, containers: []}}"), nil},
		{"a static pod belongs to no one", pod("static", ownedBy("Node", "n1")), []string{"web/Pod/static"}},
		{"managed by something else", pod("x", ownedBy("Rollout", "r")), []string{"web/Pod/x < web/Rollout/r"}},
		{"managed by something of no kind", pod("x", ", ownerReferences: [{name: r, uid: u, controller: true}]"), []string{"web/Pod/x"}},
		{"managed by something without a name", pod("x", ", ownerReferences: [{kind: Job, uid: u, controller: true}]"), []string{"web/Pod/x"}},
		{"owned, but not managed", pod("x", ", ownerReferences: [{apiVersion: x, kind: Job, name: j, uid: u}]"), []string{"web/Pod/x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, e := range load(t, tt.yaml).Endpoints {
				s := e.Key.String()
				if e.Owner != (policy.Key{}) {
					s += " < " + e.Owner.String()
				}
				got = append(got, s)
			}
			diff(t, "endpoints", tt.want, got)
		})
	}

	m := load(t, deployment)
	diff(t, "a representative", &policy.Endpoint{
		Key: policy.Key{Kind: "Deployment", Namespace: "web", Name: "d"}, Addrs: addrs("240.0.0.1"), PlaceholderAddrs: true,
		Labels: labels(podLabels("default", "app", "a")...), Ports: []policy.NamedPort{{Name: "http", Protocol: policy.TCP, Port: 80}}, Profiles: []string{"kns.web"},
	}, m.Endpoints[0])
}

// TestUnmanaged checks what is said of pods and workloads that are no endpoints.
func TestUnmanaged(t *testing.T) {
	const template = `template: {spec: {hostNetwork: true, containers: []}}`
	loaded := translate.Load(read(t, `
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: web}, spec: {containers: []}, status: {podIP: 10.0.0.1}}
- {apiVersion: v1, kind: Pod, metadata: {name: done, namespace: web}, spec: {containers: []}, status: {phase: Succeeded}}
- apiVersion: v1
  kind: Pod
  metadata: {name: h1, namespace: web, ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: h, uid: u, controller: true}]}
  spec: {hostNetwork: true, containers: []}
- {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: i, namespace: web}, spec: {selector: {}, `+template+`}}
- apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: old, namespace: web, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: d, uid: u, controller: true}]}
  spec: {replicas: 0, selector: {}, template: {spec: {containers: []}}}
`), nil, translate.Options{Offline: true})
	key := func(kind, name string) policy.Key { return policy.Key{Kind: kind, Namespace: "web", Name: name} }
	diff(t, "unmanaged", []translate.Unmanaged{
		{Key: key("DaemonSet", "i"), Reason: translate.HostNetwork},
		{Key: key("Pod", "done"), Reason: source.Ended},
		{Key: key("Pod", "h1"), Owner: key("DaemonSet", "h"), Reason: translate.HostNetwork},
		{Key: key("ReplicaSet", "old"), Owner: key("Deployment", "d"), Reason: translate.ScaledDown},
	}, loaded.Unmanaged)
	var notes []string
	for _, f := range loaded.Findings {
		if !f.Note {
			t.Errorf("%v is no note", f)
		}
		notes = append(notes, f.Error())
	}
	diff(t, "notes", []string{
		"<stdin>:6: Pod web/done: has ended, so policy has no say on it",
		"<stdin>:11: DaemonSet web/i: uses its node's network, so policy has no say on it; the same holds of 1 more",
	}, notes)
}

func TestWorkloadEndpoint(t *testing.T) {
	m := load(t, `
apiVersion: projectcalico.org/v3
kind: WorkloadEndpointList
items:
- metadata: {name: a, namespace: web, labels: {app: a}}
  spec:
    node: n1
    workload: w
    interfaceName: veth1
    ipNetworks: [10.0.0.1/32, "fd00::1", 10.0.0.1]
    ports: [{name: http, protocol: TCP, port: 80}, {name: Dns_1, protocol: 17, port: 53}]
- metadata: {name: b, namespace: web}
  spec: {node: n1, orchestrator: k8s, serviceAccountName: front, ipNetworks: [10.0.0.2]}
- metadata: {name: c, namespace: web}
  spec: {node: n1, orchestrator: openstack, profiles: [mine, other, mine, ksa.web.default], ipNetworks: [10.0.0.3]}
---
apiVersion: projectcalico.org/v3
kind: ProfileList
items: [{metadata: {name: mine}}, {metadata: {name: other}}]
`)
	namespace := []string{"projectcalico.org/namespace", "web", "pcns.projectcalico.org/name", "web", "pcns.kubernetes.io/metadata.name", "web"}
	key := func(name string) policy.Key {
		return policy.Key{Kind: policy.KindWorkloadEndpoint, Namespace: "web", Name: name}
	}
	diff(t, "endpoints", []*policy.Endpoint{
		{Key: key("a"), Node: "n1", Interface: "veth1", Addrs: addrs("10.0.0.1", "fd00::1"), Labels: labels(append(namespace, "app", "a")...),
			Ports: []policy.NamedPort{{Name: "http", Protocol: policy.TCP, Port: 80}, {Name: "Dns_1", Protocol: policy.UDP, Port: 53}}},
		{Key: key("b"), Node: "n1", Addrs: addrs("10.0.0.2"), Labels: labels(podLabels("front")...), Profiles: []string{"kns.web"}},
		{Key: key("c"), Node: "n1", Addrs: addrs("10.0.0.3"), Labels: labels(append(namespace, "projectcalico.org/orchestrator", "openstack")...), Profiles: []string{"mine", "other"}},
	}, m.Endpoints)
}

func TestPlaceholders(t *testing.T) {
	const two = `
apiVersion: v1
kind: PodList
items:
- {metadata: {name: a, namespace: web}, spec: {containers: []}}
- {metadata: {name: b, namespace: web}, spec: {containers: []}}
`
	pod := func(ip string) string {
		return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: real, namespace: web}\nspec: {containers: []}\nstatus: {podIP: \"" + ip + "\"}\n"
	}
	set := func(list string) string {
		return "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: s}\nspec: {nets: " + list + "}\n"
	}
	for _, tt := range []struct {
		name string
		more string
		opts translate.Options
		want [2][]string
	}{
		{"no address at all", "", translate.Options{}, [2][]string{{"240.0.0.1"}, {"240.0.0.2"}}},
		{"both families asked for", "", translate.Options{PlaceholderIPv6: true}, [2][]string{{"240.0.0.1", "e000::1"}, {"240.0.0.2", "e000::2"}}},
		{"all is IPv6", pod("fd00::1"), translate.Options{}, [2][]string{{"e000::1"}, {"e000::2"}}},
		{"a whole family is no net", set(`[0.0.0.0/0]`), translate.Options{}, [2][]string{{"240.0.0.1"}, {"240.0.0.2"}}},
		{"a net in the block", set(`[240.1.2.3/32, 241.0.0.0/8]`), translate.Options{}, [2][]string{{"242.0.0.1"}, {"242.0.0.2"}}},
		{"a net around all of class E", set(`[240.0.0.0/4, 224.0.0.0/4, 223.0.0.0/8]`), translate.Options{}, [2][]string{{"222.0.0.1"}, {"222.0.0.2"}}},
		{"halves hold everything", set(`[0.0.0.0/1, 128.0.0.0/1, 240.0.0.0/16]`), translate.Options{}, [2][]string{{"241.0.0.1"}, {"241.0.0.2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Offline = true
			m := translate.Load(read(t, two+tt.more), nil, tt.opts).Model
			for i, want := range tt.want {
				e := m.Endpoints[i]
				diff(t, e.Key.Name, addrs(want...), e.Addrs)
				if !e.PlaceholderAddrs {
					t.Errorf("%s is not marked as synthetic", e.Key)
				}
			}
		})
	}
}

func TestClaimedAddress(t *testing.T) {
	pod := func(name, status string) string {
		return "---\n{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", namespace: web}, spec: {containers: []}, status: {podIP: 10.0.0.1" + status + "}}\n"
	}
	loaded := translate.Load(read(t, pod("a", "")+pod("b", `, startTime: "2026-01-01T00:00:00Z"`)+pod("c", "")), nil, translate.Options{Offline: true})
	diff(t, "notes", []string{"2: : does not have the address 10.0.0.1, which Pod web/b claims as well and has; the same holds of 1 more"}, lines(loaded.Findings))
	if !loaded.Findings[0].Note {
		t.Error("it is no note")
	}
}

// TestPrecedence checks the order of those that claim one address.
func TestPrecedence(t *testing.T) {
	claims := []string{ // the last one has the address
		`deletionTimestamp: "2026-06-01T00:00:00Z"}, status: {startTime: "2026-01-01T00:00:00Z"`,
		`deletionTimestamp: "2020-01-01T00:00:00Z"}, status: {startTime: "2026-01-01T00:00:01Z"`,
		`creationTimestamp: null}, status: {phase: Running`,
		`creationTimestamp: "2025-01-01T00:00:00Z"}, status: {phase: Running`,
		`creationTimestamp: "2020-01-01T00:00:00Z"}, status: {startTime: "2025-01-01T00:00:01Z"`,
		`creationTimestamp: "2019-01-01T00:00:00Z"}, status: {startTime: "2026-01-01T00:00:00Z"`,
		`creationTimestamp: "2019-01-01T00:00:00Z"}, status: {startTime: "2200-01-01T00:00:00Z"`, // past the last second
	}
	before := int32(math.MinInt32)
	for _, c := range claims {
		m := load(t, "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: web, "+c+", podIP: 10.0.0.1}, spec: {containers: []}}")
		now := m.Endpoints[0].Precedence
		if now <= before {
			t.Errorf("%s: precedence %d does not come after %d", c, now, before)
		}
		before = now
	}
}
