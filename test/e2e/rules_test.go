package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/test/e2e/stage"
)

const serviceRuleObjects = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-service}
spec:
  selector: app == 'user'
  types: [Egress]
  egress: [{action: Allow, destination: {services: {name: plain}}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-headless}
spec:
  selector: app == 'headless-user'
  types: [Egress]
  egress: [{action: Allow, destination: {services: {name: headless}}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: from-service}
spec:
  selector: app == 'store'
  types: [Ingress]
  ingress: [{action: Allow, protocol: UDP, source: {services: {name: plain}}, destination: {ports: [1001]}}]
---
apiVersion: v1
kind: Service
metadata: {name: plain}
spec: {selector: {app: backend}, ports: [{name: udp, protocol: UDP, port: 80, targetPort: 1001}, {name: tcp, port: 80, targetPort: 1001}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: backend}, ports: [{name: udp, protocol: UDP, port: 1001}]}
`

// testServiceRules has rules name services whose pods come and go.
func testServiceRules(t *testing.T, w *world) {
	s := stage.NewSpace(t, w.c, nil)
	s.Apply(serviceRuleObjects)
	pods := map[string]*stage.Pod{}
	for i, name := range []string{"backend", "user", "headless-user", "store"} {
		s.CreatePod(stage.PodSpec{Name: name, Node: i%2 + 1, Labels: map[string]string{"app": name}})
	}
	for _, name := range []string{"backend", "user", "headless-user", "store"} {
		pods[name] = s.WaitPod(name)
	}
	first, store := pods["backend"], stage.Serve(t, pods["store"], pods["store"].Addr, openPort)
	open, closed := stage.Serve(t, first, first.Addr, openPort), stage.Serve(t, first, first.Addr, closedPort)
	users := []*stage.Pod{pods["user"], pods["headless-user"]}
	for _, p := range users {
		stage.AwaitAllowed(t, p, open.Addr)
		stage.AwaitDenied(t, p, closed.Addr)
		stage.AwaitDenied(t, p, store.Addr)
	}
	stage.AwaitAllowed(t, first, store.Addr)
	if err := stage.Knock(users[1], open.Addr); err != nil {
		t.Errorf("TCP, of which the headless service has no port: %v", err)
	}
	virtual := serviceAddr(t, s, "plain")
	stage.AwaitAllowed(t, users[0], virtual)

	// One more, and one less.
	second := s.NewPod(stage.PodSpec{Name: "backend-2", Node: 2, Labels: map[string]string{"app": "backend"}})
	other := stage.Serve(t, second, second.Addr, openPort)
	stage.AwaitAllowed(t, users[0], other.Addr)
	stage.AwaitAllowed(t, users[1], other.Addr)
	stage.AwaitAllowed(t, second, store.Addr)
	stays, ends := stage.Connect(t, users[0], other.Addr), stage.Connect(t, users[0], open.Addr)
	flows := stage.Allowed(t, users[0], other.Addr)
	kubectl(t, w.c, "label", "--overwrite", "--namespace", s.Name, "pod", "backend", "app=retired")
	for _, p := range users {
		stage.AwaitDenied(t, p, open.Addr)
	}
	stage.AwaitDenied(t, first, store.Addr)
	ends.AwaitEnd(t)
	stays.MustLive(t)
	stage.Advance(t, flows, 20)
	stage.Stop(t, flows)
	stage.AwaitAllowed(t, users[0], virtual)

	// Nobody is left, and then there is no such service.
	must(t, s.Client.CoreV1().Pods(s.Name).Delete(t.Context(), "backend-2", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
	kubectl(t, w.c, "label", "--overwrite", "--namespace", s.Name, "pod", "backend", "app=backend")
	stage.AwaitAllowed(t, users[1], open.Addr)
	must(t, s.Client.CoreV1().Services(s.Name).Delete(t.Context(), "headless", metav1.DeleteOptions{}))
	stage.AwaitDenied(t, users[1], open.Addr)
	stage.AwaitAllowed(t, users[0], open.Addr)
}

// testLog has rules log what they match, and reads it in the agents' logs.
func testLog(t *testing.T, w *world) {
	s := newTheatre(t, w.c)
	s.Apply(`
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: logs}
spec:
  selector: app == 'server'
  order: 1
  types: [Ingress]
  ingress:
  - {action: Log, protocol: UDP, destination: {ports: [1001]}}
`)
	rule := fmt.Sprintf(`"rule":"default/NetworkPolicy %s/logs rule 0","direction":"ingress"`, s.Name)
	for _, want := range []struct {
		from          *stage.Pod
		verdict, more string
	}{
		{s.client, "Allow", fmt.Sprintf(`"decided-by":"default/KubernetesNetworkPolicy %s/server rule 0"`, s.Name)},
		{s.strangers[0], "Deny", fmt.Sprintf(`"decided-by":"default/KubernetesNetworkPolicy %s/server end"`, s.Name)},
		{s.strangers[1], "Deny", ""},
	} {
		src := fmt.Sprintf(`"protocol":"UDP","src":%q,"dst":%q`, want.from.Addr, s.server.Addr)
		eventually(t, "a line in the log", func() error {
			_ = stage.Reaches(want.from, s.open.Addr)
			out, err := w.c.Kubectl(t.Context(), "--namespace", stage.SystemNamespace, "logs", "--selector=app.kubernetes.io/component=agent", "--tail=-1", "--since=3m")
			if err != nil {
				return err
			}
			for line := range strings.Lines(out) {
				if strings.Contains(line, rule) && strings.Contains(line, src) {
					if !strings.Contains(line, fmt.Sprintf(`"verdict":%q`, want.verdict)) || !strings.Contains(line, want.more) {
						t.Errorf("of a packet that must be %s, and %s, the log says\n%s", want.verdict, want.more, line)
					}
					return nil
				}
			}
			return errors.New("no line says " + rule + " and " + src)
		})
	}
	stage.AwaitAllowed(t, s.client, s.open.Addr) // it decides nothing
	stage.AwaitDenied(t, s.client, s.closed.Addr)
	stage.AwaitDenied(t, s.strangers[0], s.open.Addr)
}

const stagedObjects = `
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: guests}
spec: {selector: app == 'server', order: 1, types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'stranger'}}]}
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: server}
spec: {stagedAction: Delete}
---
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: nobody-out}
spec: {selector: projectcalico.org/namespace == '%NS%' && app == 'client', types: [Egress]}
`

// testStaged stages policies of all three kinds: the kernel has nothing of them, and the command knows what they would decide.
func testStaged(t *testing.T, w *world) {
	s := newTheatre(t, w.c)
	s.Cleanup("stagedglobalnetworkpolicies.projectcalico.org/nobody-out")
	before := kernelTables(t, w)
	s.Apply(stagedObjects)
	sh := newShell(t, w.c)
	const line = "kubectl tierwall explain --pending --from %[1]s/%[2]s --to %[1]s/server --port 1001 --protocol UDP"
	sh.ask(t, []asked{
		{line: fmt.Sprintf(line, s.Name, "client"), code: 1, stdout: []string{"ALLOWED", "Pending:", "denied, not allowed", "StagedGlobalNetworkPolicy nobody-out", "StagedNetworkPolicy " + s.Name + "/guests"}},
		{line: fmt.Sprintf(line, s.Name, "stranger-1"), code: 0, stdout: []string{"DENIED", "Pending:", "allowed, not denied", "Delete  StagedKubernetesNetworkPolicy " + s.Name + "/server"}},
	})
	// A policy that is meant comes after them: when it is in force, they have been read as well.
	s.Apply(`
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: later}
spec: {selector: app == 'nobody', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'client'}}]}
`)
	s.NewPod(stage.PodSpec{Name: "probe", Node: 1})
	must(t, s.Client.CoreV1().Pods(s.Name).Delete(t.Context(), "probe", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
	eventually(t, "the same tables", func() error {
		for node, now := range kernelTables(t, w) {
			if now != before[node] {
				return fmt.Errorf("%s: with staged policies the kernel holds\n%s\nand without\n%s", node, now, before[node])
			}
		}
		return nil
	})
	stage.AwaitAllowed(t, s.client, s.open.Addr)
	stage.AwaitDenied(t, s.strangers[0], s.open.Addr)
}

// kernelTables are tierwall's tables, without counters, by the node.
func kernelTables(t *testing.T, w *world) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, n := range w.c.Nodes() {
		text, err := n.Run(t.Context(), "nft", "-s", "list", "table", "inet", "tierwall")
		must(t, err)
		out[n.Name()] = text
	}
	return out
}

// serviceAddr is the first port of a service, at its own address.
func serviceAddr(t *testing.T, s *stage.Space, name string) netip.AddrPort {
	t.Helper()
	service, err := s.Client.CoreV1().Services(s.Name).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	return netip.AddrPortFrom(netip.MustParseAddr(service.Spec.ClusterIP), uint16(service.Spec.Ports[0].Port))
}
