package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// manyRules is how many rules the largest policy of TestManyRules has: an object of about a megabyte, as large as the API
// server stores.
const manyRules = 10_000

// Policies of ten thousand rules are put into force, changed and taken away. The last rule counts as much as the first, and
// meanwhile what others allow and deny goes on.
func TestManyRules(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	allowed, end := s.play(t)
	outside := c.ControlPlane()
	stage.AwaitDenied(t, outside, s.open.Addr)
	t.Run("GlobalNetworkPolicy", func(t *testing.T) { testManyGlobal(t, s, outside) })
	t.Run("Kubernetes", func(t *testing.T) { testManyKubernetes(t, s, outside) })
	stage.Advance(t, allowed, 20)
	end()
}

func testManyGlobal(t *testing.T, s *theatre, outside *cluster.Node) {
	name := "default." + s.Name
	s.Cleanup("globalnetworkpolicies.projectcalico.org/" + name)
	rules := make([]any, manyRules)
	for i := range rules {
		rules[i] = ruleFrom(manyNet(i))
	}
	rules[manyRules-1] = ruleFrom(outside.IP().String() + "/32")
	large := policyIn(globalNetworkPolicies, "", "default", name)
	large.Object["spec"] = map[string]any{
		"tier": "default", "types": []any{"Ingress"}, "ingress": rules,
		"selector": fmt.Sprintf("projectcalico.org/namespace == '%s' && app == 'server'", s.Name),
	}
	begun := time.Now()
	_, err := admin(s.Cluster).Resource(globalNetworkPolicies).Create(t.Context(), large, metav1.CreateOptions{})
	must(t, err)
	stored := time.Now()
	stage.AwaitAllowed(t, outside, s.open.Addr)
	t.Logf("%d rules: stored in %s, in force %s later; load %s", manyRules, stored.Sub(begun).Round(time.Millisecond), time.Since(stored).Round(time.Millisecond), load())
	must(t, admin(s.Cluster).Resource(globalNetworkPolicies).Delete(t.Context(), name, metav1.DeleteOptions{}))
	stage.AwaitDenied(t, outside, s.open.Addr)
}

func testManyKubernetes(t *testing.T, s *theatre, outside *cluster.Node) {
	port := intstr.FromInt32(openPort)
	udp := corev1.ProtocolUDP
	rule := func(net string) networkingv1.NetworkPolicyIngressRule {
		return networkingv1.NetworkPolicyIngressRule{
			From:  []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: net}}},
			Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &port}},
		}
	}
	large := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "large"},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}}},
	}
	for i := range manyRules {
		large.Spec.Ingress = append(large.Spec.Ingress, rule(manyNet(i)))
	}
	large.Spec.Ingress[manyRules-1] = rule(outside.IP().String() + "/32")
	policies := s.Client.NetworkingV1().NetworkPolicies(s.Name)
	begun := time.Now()
	large, err := policies.Create(t.Context(), large, metav1.CreateOptions{})
	must(t, err)
	stored := time.Now()
	stage.AwaitAllowed(t, outside, s.open.Addr)
	t.Logf("%d rules: stored in %s, in force %s later; load %s", manyRules, stored.Sub(begun).Round(time.Millisecond), time.Since(stored).Round(time.Millisecond), load())

	large.Spec.Ingress[manyRules-1] = rule("198.51.100.1/32")
	_, err = policies.Update(t.Context(), large, metav1.UpdateOptions{})
	must(t, err)
	stored = time.Now()
	stage.AwaitDenied(t, outside, s.open.Addr)
	t.Logf("one rule of them changed: in force %s later, three answers waited for in vain included", time.Since(stored).Round(time.Millisecond))
	// What follows compares the kernel with policy, class by class and rule by rule: ten thousand times ten thousand would take its time.
	must(t, policies.Delete(t.Context(), large.Name, metav1.DeleteOptions{}))
}

// manyNet is a net of its own for each rule.
func manyNet(i int) string { return fmt.Sprintf("100.%d.%d.%d/32", 64+i>>16, i>>8&255, i&255) }

func ruleFrom(net string) map[string]any {
	return map[string]any{"action": "Allow", "protocol": "UDP", "source": map[string]any{"nets": []any{net}}, "destination": map[string]any{"ports": []any{int64(openPort)}}}
}

// Two pods have one address for a while, as when a node has given it to another pod and the API server does not know yet. On other
// nodes the one that came last has it; where it is at home, the pod that is there. When one ends, it is the other's again.
func TestOneAddressTwoPods(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	stranger := s.strangers[1] // on node 2
	denied := stage.Denied(t, s.strangers[0], s.open.Addr)

	// Somewhere else a pod is said to have the stranger's address, and it is a client.
	s.ghost(t, "ghost", "client", stranger.Addr.String())
	stage.AwaitAllowed(t, stranger, s.open.Addr)
	session := stage.Connect(t, stranger, s.open.Addr)
	s.exorcise(t, "ghost")
	stage.AwaitDenied(t, stranger, s.open.Addr)
	session.AwaitEnd(t)

	// The server's own address: on the server's node that makes nobody of the server.
	s.ghost(t, "double", "nobody", s.server.Addr.String())
	stage.AwaitAllowed(t, s.client, s.open.Addr)
	stage.Advance(t, denied, 100)
	s.exorcise(t, "double")
	stage.AwaitAllowed(t, s.client, s.open.Addr)
	stage.Stop(t, denied)
	if n := s.open.Seen(s.strangers[0].Addr); n > 0 {
		t.Errorf("%d packets from %s got through", n, s.strangers[0].Name)
	}
	stage.VerifyAgents(t, c)
}

// ghost makes a pod that no kubelet runs, on a node that is not there.
func (s *theatre) ghost(t *testing.T, name, app, address string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{
			NodeName: "elsewhere", Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			AutomountServiceAccountToken: new(bool), Containers: []corev1.Container{{Name: "c", Image: "i"}},
		},
	}
	_, err := s.Client.CoreV1().Pods(s.Name).Create(t.Context(), pod, metav1.CreateOptions{})
	must(t, err)
	podStatus(t, s.Client, s.Name, name, fmt.Sprintf(`{"status":{"phase":"Running","startTime":%q,"podIP":%q,"podIPs":[{"ip":%[2]q}]}}`,
		time.Now().UTC().Format(time.RFC3339), address))
}

func (s *theatre) exorcise(t *testing.T, name string) {
	t.Helper()
	must(t, s.Client.CoreV1().Pods(s.Name).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
}

// The agents lose the right to watch policies. What is in force stays, for agents that run and for one that
// starts; each says which rule is missing, and with it all is well.
func TestMissingRightAgent(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	allowed, end := s.play(t)
	restore := dropVerb(t, c, "tierwall-agent", "tiers", "watch")
	stage.KillAgent(t, c.Node(1))
	const rule = `a ClusterRole of the user needs the rule {apiGroups: [\"projectcalico.org\"], resources: [\"tiers\"], verbs: [\"list\", \"watch\"]}`
	awaitLog(t, c, "component=agent", rule)
	stage.Advance(t, allowed, 200)
	restore()
	stage.AwaitAgents(t, c)
	end()
	s.Apply(`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: later}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{protocol: UDP, port: 1002}]}]
`)
	stage.AwaitAllowed(t, s.client, s.closed.Addr)
}

// The controller loses the right to write status. It says so; what status said before stays, policy is in force, and with
// the right status is caught up with.
func TestMissingRightController(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	restore := dropVerb(t, c, "tierwall-controller", "networkpolicies/status", "patch")
	s.Apply(`
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.more}
spec: {selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: UDP, source: {selector: app == 'client'}, destination: {ports: [1002]}}]}
`)
	stage.AwaitAllowed(t, s.client, s.closed.Addr)
	awaitLog(t, c, "component=controller", `cannot patch resource \"networkpolicies/status\"`)
	restore()
	kubectl(t, c, "wait", "--for=condition=Accepted", "--timeout=120s", "--namespace", s.Name, "networkpolicies.projectcalico.org/default.more")
}

// dropVerb takes a verb out of the rule of a ClusterRole that names a resource, and gives what puts it back.
func dropVerb(t *testing.T, c *cluster.Cluster, role, resource, verb string) (restore func()) {
	t.Helper()
	roles := kubernetes.NewForConfigOrDie(c.Config()).RbacV1().ClusterRoles()
	is, err := roles.Get(t.Context(), role, metav1.GetOptions{})
	must(t, err)
	was := is.DeepCopy()
	i := slices.IndexFunc(is.Rules, func(r rbacv1.PolicyRule) bool {
		return slices.Contains(r.Resources, resource) && slices.Contains(r.Verbs, verb)
	})
	if i < 0 {
		t.Fatalf("ClusterRole %s has no rule with %s on %s", role, verb, resource)
	}
	is.Rules[i].Verbs = slices.DeleteFunc(is.Rules[i].Verbs, func(v string) bool { return v == verb })
	if len(is.Rules[i].Verbs) == 0 {
		is.Rules = slices.Delete(is.Rules, i, i+1)
	}
	_, err = roles.Update(t.Context(), is, metav1.UpdateOptions{})
	must(t, err)
	restored := false
	restore = func() {
		if restored {
			return
		}
		restored = true
		now, err := roles.Get(context.Background(), role, metav1.GetOptions{})
		if err == nil {
			now.Rules = was.Rules
			_, err = roles.Update(context.Background(), now, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	return restore
}

// awaitLog waits until a part of tierwall says something.
func awaitLog(t *testing.T, c *cluster.Cluster, component, text string) {
	t.Helper()
	eventually(t, text, func() error {
		out, err := c.Kubectl(t.Context(), "--namespace", stage.SystemNamespace, "logs", "--selector=app.kubernetes.io/"+component, "--tail=-1", "--since=3m")
		if err == nil && !strings.Contains(out, text) {
			lines := strings.Split(strings.TrimSpace(out), "\n")
			err = fmt.Errorf("%s says\n%s", component, strings.Join(lines[max(0, len(lines)-15):], "\n"))
		}
		return err
	})
}
