package e2e

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/internal/store/kube"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/test/e2e/cluster"
)

const storeNamespace = `
apiVersion: v1
kind: Namespace
metadata: {name: web, labels: {team: web}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: web}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
`

const storePolicy = `
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.deny}
spec: {tier: security, selector: app == 'a', types: [Ingress]}
`

// A cluster is read and followed: before the custom resources are installed, when
// they are, and what changes nothing that is read is no news.
func TestStoreKube(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	client := kubernetes.NewForConfigOrDie(c.Config())
	apply(t, c, storeNamespace)
	r := readStore(t, c.Config())
	r.first()
	r.has("Namespace/web")
	r.says("projectcalico.org/v3 is not served here")

	customResources(t, c)
	apply(t, c, storePolicy)
	r.has("Tier/security")
	r.has("GlobalNetworkPolicy/security.deny")
	r.saysNot("projectcalico.org/v3 is")

	boundPod(t, client, "web", "a", "10.9.0.1")
	r.until("the pod's address", func() bool {
		p, ok := r.objects["web/Pod/a"].(*corev1.Pod)
		return ok && p.Status.PodIP == "10.9.0.1"
	})
	r.mu.Lock()
	before := r.updates["web/Pod/a"]
	pod := r.objects["web/Pod/a"].(*corev1.Pod)
	r.mu.Unlock()
	if pod.UID == "" || pod.Spec.NodeName != "n1" || pod.Labels["app"] != "a" || pod.Spec.Containers[0].Ports[0].Name != "http" {
		t.Errorf("the pod is %v", pod)
	}
	if pod.ManagedFields != nil || pod.Spec.Containers[0].Image != "" {
		t.Errorf("the pod holds what nobody reads: %v", pod)
	}
	podStatus(t, client, "web", "a", `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	boundPod(t, client, "web", "b", "10.9.0.2") // which comes after it on the same stream
	r.has("web/Pod/b")
	r.mu.Lock()
	if n := r.updates["web/Pod/a"]; n != before {
		t.Errorf("a heartbeat was delivered %d times", n-before)
	}
	r.mu.Unlock()

	_, err := client.NetworkingV1().NetworkPolicies("web").Create(t.Context(), &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.has("web/KubernetesNetworkPolicy/p")
	if err := client.NetworkingV1().NetworkPolicies("web").Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.hasNot("web/KubernetesNetworkPolicy/p")

	source, err := kube.New(c.Config(), kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listing, err := source.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var keys []policy.Key
	for _, o := range listing.Resources {
		keys = append(keys, o.Key)
	}
	r.until("what List gives", func() bool {
		return len(keys) == len(r.objects) && !slices.ContainsFunc(keys, func(k policy.Key) bool { return r.objects[k.String()] == nil })
	})
}

// switchboard lets a test cut all connections to a server.
type switchboard struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	off   bool
	conns []net.Conn
}

func (s *switchboard) connect(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		return nil, errors.New("the cable is out")
	}
	conn, err := s.dial(ctx, network, address)
	if err == nil {
		s.conns = append(s.conns, conn)
	}
	return conn, err
}

func (s *switchboard) turn(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = !on
	if !on {
		for _, conn := range s.conns {
			_ = conn.Close()
		}
		s.conns = nil
	}
}

// The network is cut, and the API server starts again meanwhile, so that it no
// longer knows what it had sent: what was deleted is found.
func TestStoreKubeCut(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	client := kubernetes.NewForConfigOrDie(c.Config())
	apply(t, c, storeNamespace)
	customResources(t, c)
	apply(t, c, storePolicy)
	boundPod(t, client, "web", "a", "10.9.0.1")
	boundPod(t, client, "web", "b", "10.9.0.2")
	cfg := c.Config()
	cable := &switchboard{dial: cfg.Dial}
	if cable.dial == nil {
		cable.dial = (&net.Dialer{}).DialContext
	}
	cfg.Dial = cable.connect
	r := readStore(t, cfg)
	r.first()
	r.has("web/Pod/a")

	cable.turn(false)
	r.says("cannot be reached since")
	if err := client.CoreV1().Pods("web").Delete(t.Context(), "a", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(t.Context(), "delete", "tier.projectcalico.org/security", "globalnetworkpolicies.projectcalico.org/security.deny"); err != nil {
		t.Fatal(err)
	}
	boundPod(t, client, "web", "c", "10.9.0.3")
	server := c.Daemon("kube-apiserver")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	if r.objects["web/Pod/a"] == nil || r.objects["Tier/security"] == nil {
		t.Error("what was last read did not stay")
	}
	r.mu.Unlock()
	cable.turn(true)
	r.hasNot("web/Pod/a")
	r.has("web/Pod/c")
	r.hasNot("Tier/security")
	r.hasNot("GlobalNetworkPolicy/security.deny")
	r.saysNot("cannot be reached")
}

// A user who may not read tiers gets no first state, but is told what is
// missing; with the rule that is named, all is well.
func TestStoreKubeForbidden(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	customResources(t, c)
	const role = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [""], resources: [namespaces, serviceaccounts, nodes, pods], verbs: [list, watch]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [list, watch]}
- apiGroups: [projectcalico.org]
  resources: [networkpolicies, globalnetworkpolicies, networksets, globalnetworksets, hostendpoints, profiles, stagednetworkpolicies, stagedglobalnetworkpolicies, stagedkubernetesnetworkpolicies]
  verbs: [list, watch]
`
	apply(t, c, role+`---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: User, name: reader, apiGroup: rbac.authorization.k8s.io}]
`)
	cfg := c.Config()
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "reader", Groups: []string{"system:authenticated"}}
	r := readStore(t, cfg)
	const rule = `{apiGroups: ["projectcalico.org"], resources: ["tiers"], verbs: ["list", "watch"]}`
	r.until("to be told what is missing", func() bool {
		return len(r.waiting) == 1 && said(r.waiting, `User "reader" cannot watch resource "tiers"`) && said(r.waiting, rule)
	})
	apply(t, c, role+"- "+rule)
	r.first()
	r.has("Namespace/default")
	r.saysNot("cannot be read")
}

// Objects from before the custom resources had their schema: what is not
// understood is said, and the last version that was stays.
func TestStoreKubeMalformed(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	const lax = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: globalnetworkpolicies.projectcalico.org, annotations: {api-approved.kubernetes.io: unapproved}}
spec:
  group: projectcalico.org
  scope: Cluster
  names: {kind: GlobalNetworkPolicy, listKind: GlobalNetworkPolicyList, plural: globalnetworkpolicies, singular: globalnetworkpolicy}
  versions:
  - {name: v3, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`
	apply(t, c, lax)
	if _, err := c.Kubectl(t.Context(), "wait", "--for=condition=Established", "crd", "--all"); err != nil {
		t.Fatal(err)
	}
	policyOf := func(spec string) string {
		return "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: " + spec + "\n"
	}
	apply(t, c, policyOf("{selector: app == 'a'}"))
	r := readStore(t, c.Config())
	r.first()
	r.has("GlobalNetworkPolicy/p")
	apply(t, c, policyOf("{selector: app == 'b', order: first, bogus: 1}"))
	r.says(`GlobalNetworkPolicy p: spec.order: is the text "first": expected a number`)
	r.says(`GlobalNetworkPolicy p: spec.bogus: unknown field`)
	r.has("GlobalNetworkPolicy/p")
	apply(t, c, policyOf("{selector: app == 'c', order: 1}"))
	r.saysNot("GlobalNetworkPolicy p")
	r.until("the new version", func() bool { return r.updates["GlobalNetworkPolicy/p"] == 2 })
}
