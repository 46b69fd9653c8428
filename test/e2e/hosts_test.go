package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

const hostEndpoint = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n2-all, labels: {role: node}}
spec: {node: n2, interfaceName: "*", expectedIPs: [172.29.0.12], ports: [{name: metrics, protocol: UDP, port: 9100}]}
`

// hostPolicies are for the host's own connections: the kubelet's port from the API server, a port by its name from
// node 1, and one host outside.
const hostPolicies = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: node}
spec:
  selector: role == 'node'
  order: 20
  types: [Ingress, Egress]
  ingress:
  - {action: Allow, protocol: TCP, source: {nets: [172.29.0.1/32]}, destination: {ports: [10250]}}
  - {action: Allow, protocol: UDP, source: {nets: [172.29.0.11/32]}, destination: {ports: [metrics]}}
  egress:
  - {action: Allow, destination: {nets: [198.51.100.201/32]}}
`

// routedPolicy is for what comes in at the node to be routed on: to pods of the test, UDP only.
const routedPolicy = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: routed}
spec:
  selector: role == 'node'
  order: 10
  applyOnForward: true
  types: [Ingress]
  ingress:
  - {action: Allow, protocol: UDP, destination: {selector: projectcalico.org/namespace == '%NS%', ports: [1001]}}
`

// outsidePorts closes all NodePorts but one, by what clients ask for.
const outsidePorts = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: nodeports}
spec:
  selector: role == 'node'
  order: 5
  applyOnForward: true
  preDNAT: true
  ingress:
  - {action: Allow, protocol: UDP, destination: {ports: [%d]}}
  - {action: Deny, protocol: UDP, destination: {ports: ["30000:32767"]}}
`

// untracked is for a port of the host, each direction by itself.
const untracked = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: untracked}
spec:
  selector: role == 'node'
  order: 1
  applyOnForward: true
  doNotTrack: true
  types: [%s]
  ingress: [{action: Allow, protocol: UDP, destination: {ports: [9102]}}]
  egress: [{action: Allow, protocol: UDP, source: {ports: [9102]}}]
`

const hostObjects = `
apiVersion: v1
kind: Service
metadata: {name: open}
spec: {type: NodePort, selector: {app: inner}, ports: [{protocol: UDP, port: 80, targetPort: 1001}]}
---
apiVersion: v1
kind: Service
metadata: {name: shut}
spec: {type: NodePort, selector: {app: inner}, ports: [{protocol: UDP, port: 80, targetPort: 1001}]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-nodes}
spec: {selector: app == 'operator', types: [Egress], egress: [{action: Allow, destination: {selector: role == 'node', namespaceSelector: global()}}]}
`

// hosts is a theatre in which node 2 itself is governed: the client of the theatre is on it, and a pod that others reach.
type hosts struct {
	*theatre
	w               *world
	inner, operator *stage.Pod
	pod             *stage.Server
	metrics, other  *stage.Server // ports of the host
	raw             *stage.Server
	node1, node2    *cluster.Node
}

// testHosts puts node 2 under policy and takes it off again, while the theatre's traffic goes on.
func testHosts(t *testing.T, w *world) {
	h := &hosts{theatre: newTheatre(t, w.c), w: w, node1: w.c.Node(1), node2: w.c.Node(2)}
	h.CreatePod(stage.PodSpec{Name: "inner", Node: 2, Labels: map[string]string{"app": "inner"}})
	h.CreatePod(stage.PodSpec{Name: "operator", Node: 1, Labels: map[string]string{"app": "operator"}})
	h.Apply(hostObjects)
	h.inner, h.operator = h.WaitPod("inner"), h.WaitPod("operator")
	h.pod = stage.Serve(t, h.inner, h.inner.Addr, openPort)
	h.metrics = stage.Serve(t, h.node2, h.node2.IP(), 9100)
	h.other = stage.Serve(t, h.node2, h.node2.IP(), 9101)
	h.raw = stage.Serve(t, h.node2, h.node2.IP(), 9102)
	before := h.hooks(t)
	h.everythingOpen(t)
	for _, name := range []string{"node", "routed", "nodeports", "untracked"} {
		h.Cleanup("globalnetworkpolicies.projectcalico.org/" + name)
	}
	h.Cleanup("hostendpoints.projectcalico.org/n2-all")

	allowed, end := h.play(t)
	h.Apply(hostPolicies)
	h.Apply(hostEndpoint)
	t.Run("the host itself", h.own)
	t.Run("a new pod", h.newPod)
	t.Run("expectedIPs", h.expectedIPs)
	t.Run("routed traffic", h.routed)
	t.Run("before DNAT", h.beforeDNAT)
	t.Run("without tracking", h.untracked)
	stage.Advance(t, allowed, 20)
	stage.VerifyAgents(t, w.c)

	kubectl(t, w.c, "delete", "hostendpoints.projectcalico.org/n2-all")
	h.everythingOpen(t)
	stage.AwaitDenied(t, h.operator, h.metrics.Addr) // nobody is role == 'node' any more
	eventually(t, "no hooks of the host", func() error {
		if now := h.hooks(t); now != before {
			return fmt.Errorf("there are %q, and before any host endpoint %q", now, before)
		}
		return nil
	})
	end()
}

// everythingOpen holds that the host is governed by nothing.
func (h *hosts) everythingOpen(t *testing.T) {
	t.Helper()
	for _, s := range []*stage.Server{h.metrics, h.other, h.raw, h.pod} {
		stage.AwaitAllowed(t, h.node1, s.Addr)
		stage.AwaitAllowed(t, h.w.outside, s.Addr)
	}
	for _, name := range []string{"open", "shut"} {
		stage.AwaitAllowed(t, h.w.outside, h.nodePort(t, name))
	}
}

// hooks is where tierwall's table of node 2 is called from.
func (h *hosts) hooks(t *testing.T) string {
	t.Helper()
	out, err := h.node2.Run(t.Context(), "nft", "-s", "list", "table", "inet", "tierwall")
	must(t, err)
	var hooks []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, " hook ") {
			hooks = append(hooks, strings.TrimSpace(line))
		}
	}
	slices.Sort(hooks) // nft may list what changes meanwhile twice
	return strings.Join(slices.Compact(hooks), "\n")
}

func (h *hosts) nodePort(t *testing.T, service string) netip.AddrPort {
	t.Helper()
	s, err := h.Client.CoreV1().Services(h.Name).Get(t.Context(), service, metav1.GetOptions{})
	must(t, err)
	return netip.AddrPortFrom(h.node2.IP(), uint16(s.Spec.Ports[0].NodePort))
}

// own is what the host's processes receive and begin.
func (h *hosts) own(t *testing.T) {
	stage.AwaitDenied(t, h.node1, h.other.Addr)
	stage.AwaitAllowed(t, h.node1, h.metrics.Addr)
	stage.AwaitDenied(t, h.w.outside, h.metrics.Addr)
	stage.AwaitAllowed(t, h.client, h.other.Addr) // a pod of its own: --endpoint-to-host is Accept in a cluster

	allowed, denied := h.w.at(t, "198.51.100.201"), h.w.at(t, "198.51.100.202")
	stage.AwaitAllowed(t, h.node2, allowed.Addr)
	stage.AwaitDenied(t, h.node2, denied.Addr)
	stage.AwaitAllowed(t, h.client, denied.Addr) // routed, not its own

	// Failsafes: SSH's port in, that of etcd out.
	ssh := stage.Serve(t, h.node2, h.node2.IP(), 22)
	if _, err := stage.Open(h.w.outside, ssh.Addr); err != nil {
		t.Errorf("a failsafe for what comes in: %v", err)
	}
	etcd := stage.Serve(t, h.w.outside, netip.MustParseAddr("198.51.100.203"), 2379)
	if _, err := stage.Open(h.node2, etcd.Addr); err != nil {
		t.Errorf("a failsafe for what goes out: %v", err)
	}
	// Its own pods, whom the kubelet probes.
	stage.AwaitAllowed(t, h.node2, h.pod.Addr)
	if got := kubectl(t, h.Cluster, "exec", "--namespace", h.Name, "client", "--", "echo", "reached"); strings.TrimSpace(got) != "reached" {
		t.Errorf("kubectl exec on the node gives %q", got)
	}
}

// newPod holds that the node is a node as before: its kubelet hears of a pod, starts it, probes it and says so.
func (h *hosts) newPod(t *testing.T) {
	h.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  nodeName: n2
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: ` + cluster.Agnhost + `
    args: [netexec, --http-port=8080]
    readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
`)
	kubectl(t, h.Cluster, "wait", "--for=condition=Ready", "--timeout="+stage.Patience.String(), "--namespace", h.Name, "pod/probed")
}

// expectedIPs are what selectors mean by the host, and by which its interface is found.
func (h *hosts) expectedIPs(t *testing.T) {
	h.Apply(strings.Replace(hostPolicies, "172.29.0.11/32", "172.29.0.11/32, "+h.operator.Addr.String()+"/32", 1))
	stage.AwaitAllowed(t, h.operator, h.metrics.Addr)
	stage.AwaitDenied(t, h.operator, h.w.at(t, "198.51.100.204").Addr)
	h.Apply(strings.Replace(hostEndpoint, `interfaceName: "*", `, "", 1))
	stage.AwaitAllowed(t, h.node1, h.metrics.Addr)
	stage.AwaitDenied(t, h.node1, h.other.Addr)
	h.Apply(strings.Replace(hostEndpoint, "172.29.0.12", "172.29.0.99", 1)) // an address that it has not
	stage.AwaitDenied(t, h.operator, h.metrics.Addr)
	stage.AwaitDenied(t, h.node1, h.other.Addr)
	h.Apply(hostEndpoint)
	stage.AwaitAllowed(t, h.operator, h.metrics.Addr)
}

func (h *hosts) routed(t *testing.T) {
	closed := stage.Serve(t, h.inner, h.inner.Addr, closedPort)
	stage.AwaitAllowed(t, h.w.outside, closed.Addr)
	h.Apply(routedPolicy)
	stage.AwaitDenied(t, h.w.outside, closed.Addr)
	stage.AwaitDenied(t, h.strangers[0], closed.Addr)
	stage.AwaitAllowed(t, h.strangers[0], h.pod.Addr)
	stage.AwaitDenied(t, h.client, closed.Addr) // within the node too: a pod's interface is one of all
	stage.AwaitAllowed(t, h.client, h.pod.Addr)
	stage.AwaitAllowed(t, h.node1, h.metrics.Addr) // the policies for the host itself are asked next
	if err := stage.Knock(h.strangers[0], h.pod.Addr); err != nil {
		t.Errorf("TCP, though what is routed is UDP only: %v", err)
	}
	kubectl(t, h.Cluster, "delete", "globalnetworkpolicies.projectcalico.org/routed")
	stage.AwaitAllowed(t, h.w.outside, closed.Addr)
}

func (h *hosts) beforeDNAT(t *testing.T) {
	open, shut := h.nodePort(t, "open"), h.nodePort(t, "shut")
	stage.AwaitAllowed(t, h.w.outside, shut)
	h.Apply(fmt.Sprintf(outsidePorts, open.Port()))
	stage.AwaitDenied(t, h.w.outside, shut)
	stage.AwaitAllowed(t, h.w.outside, open)
	stage.AwaitAllowed(t, h.w.outside, h.pod.Addr) // the pod's own address is none of these ports
	stage.AwaitDenied(t, h.node1, h.other.Addr)
}

func (h *hosts) untracked(t *testing.T) {
	stage.AwaitDenied(t, h.node1, h.raw.Addr)
	h.Apply(fmt.Sprintf(untracked, "Ingress, Egress"))
	stage.AwaitAllowed(t, h.node1, h.raw.Addr)
	// Without the way back there is no answer: nothing knows that it is one.
	h.Apply(fmt.Sprintf(untracked, "Ingress"))
	stage.AwaitDenied(t, h.node1, h.raw.Addr)
	h.raw.Forget()
	if err := stage.Reaches(h.node1, h.raw.Addr); err == nil || h.raw.Seen(h.node1.IP()) == 0 {
		t.Errorf("packets do not come in (seen: %v), or are answered (%v)", h.raw.SeenAll(), err)
	}
	h.Apply(fmt.Sprintf(untracked, "Ingress, Egress"))
	stage.AwaitAllowed(t, h.node1, h.raw.Addr)
}
