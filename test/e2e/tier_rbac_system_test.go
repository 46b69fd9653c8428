package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/test/e2e/cluster"
)

var reports = schema.GroupVersionResource{Group: "policy.tierwall.dev", Version: "v1alpha1", Resource: "nodepolicyreports"}

const (
	agentUser      = "system:serviceaccount:tierwall-system:tierwall-agent"
	controllerUser = "system:serviceaccount:tierwall-system:tierwall-controller"
)

// installManifest is deploy/install.yaml with the image of the tests.
func installManifest(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../deploy/install.yaml")
	must(t, err)
	return string(data)
}

// testCertificate asks as a user that the API server knows by a certificate, to
// hold that impersonation has shown nothing else than a user's own requests.
func testCertificate(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	client := kubernetes.NewForConfigOrDie(c.Config())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "alice"}}, key)
	must(t, err)
	csr, err := client.CertificatesV1().CertificateSigningRequests().Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "alice"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeAPIServerClientSignerName,
			Usages:     []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test", Message: "approved by a test",
	})
	_, err = client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, "alice", csr, metav1.UpdateOptions{})
	must(t, err)
	eventually(t, "certificate", func() error {
		csr, err = client.CertificatesV1().CertificateSigningRequests().Get(ctx, "alice", metav1.GetOptions{})
		if err == nil && len(csr.Status.Certificate) == 0 {
			err = errors.New("not issued yet")
		}
		return err
	})
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	cfg := rest.AnonymousClientConfig(c.Config())
	cfg.CertData = csr.Status.Certificate
	cfg.KeyData = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	alice := dynamic.NewForConfigOrDie(cfg)
	for _, tier := range matrixTiers {
		_, err := in(alice, networkPolicies, "shop").Create(ctx, policyIn(networkPolicies, "shop", tier, tier+".certificate"), metav1.CreateOptions{})
		if got, want := err == nil, mayApp(networkPolicies, "shop", tier); got != want || err != nil && !apierrors.IsForbidden(err) {
			t.Errorf("alice with a certificate in tier %s: allowed %t, expected %t: %v", tier, got, want, err)
		}
	}
}

// testSystem holds that Kubernetes itself is not held up: a namespace ends with its
// policies, and an object goes with its owner.
func testSystem(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	root := admin(c)
	client := kubernetes.NewForConfigOrDie(c.Config())
	must(t, c.Apply(ctx, `{apiVersion: v1, kind: Namespace, metadata: {name: ends}}`))
	for _, kind := range []schema.GroupVersionResource{networkPolicies, stagedPolicies} {
		_, err := in(root, kind, "ends").Create(ctx, policyIn(kind, "ends", "security", "security.x"), metav1.CreateOptions{})
		must(t, err)
	}
	must(t, client.CoreV1().Namespaces().Delete(ctx, "ends", metav1.DeleteOptions{}))
	eventually(t, "end of a namespace", func() error {
		_, err := client.CoreV1().Namespaces().Get(ctx, "ends", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	})

	owner, err := client.CoreV1().ConfigMaps("shop").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}, metav1.CreateOptions{})
	must(t, err)
	owned := policyIn(networkPolicies, "shop", "security", "security.owned")
	owned.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}})
	_, err = in(root, networkPolicies, "shop").Create(ctx, owned, metav1.CreateOptions{})
	must(t, err)
	must(t, client.CoreV1().ConfigMaps("shop").Delete(ctx, "owner", metav1.DeleteOptions{}))
	eventually(t, "end of what is owned", func() error {
		_, err := in(root, networkPolicies, "shop").Get(ctx, "security.owned", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	})
}

// testStatus holds that the controller writes status and nothing else.
func testStatus(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	controller := as(t, c, controllerUser, "system:serviceaccounts", "system:serviceaccounts:tierwall-system")
	status := []byte(`{"status":{"observedGeneration":1}}`)
	for _, kind := range tieredKinds {
		namespace := namespacesOf(kind)[0]
		if _, err := in(controller, kind, namespace).Patch(ctx, "security.seed", types.MergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
			t.Errorf("the controller writes the status of %s: %v", kind.Resource, err)
		}
		if _, err := in(controller, kind, namespace).Patch(ctx, "security.seed", types.MergePatchType, []byte(`{"spec":{"order":1}}`), metav1.PatchOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("the controller writes %s: %v", kind.Resource, err)
		}
		// Who writes status changes no spec.
		_, err := in(controller, kind, namespace).Patch(ctx, "security.seed", types.MergePatchType, []byte(`{"spec":{"order":1},"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}, "status")
		must(t, err)
		p, err := in(admin(c), kind, namespace).Get(ctx, "security.seed", metav1.GetOptions{})
		must(t, err)
		if _, set, _ := unstructured.NestedFieldNoCopy(p.Object, "spec", "order"); set || len(p.GetLabels()) > 0 {
			t.Errorf("%s: changed through its status: %v %v", kind.Resource, p.Object["spec"], p.GetLabels())
		}
	}
}

// testReports holds that an agent writes the report of its own node, known by the
// token that its pod has there.
func testReports(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	client := kubernetes.NewForConfigOrDie(c.Config())
	agents := map[string]dynamic.Interface{}
	for _, node := range []string{"node-a", "node-b"} {
		_, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.CreateOptions{})
		must(t, err)
		pod, err := client.CoreV1().Pods("tierwall-system").Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "agent-on-" + node},
			Spec: corev1.PodSpec{NodeName: node, ServiceAccountName: "tierwall-agent",
				Containers: []corev1.Container{{Name: "agent", Image: "localhost/none:e2e"}}},
		}, metav1.CreateOptions{})
		must(t, err)
		token, err := client.CoreV1().ServiceAccounts("tierwall-system").CreateToken(ctx, "tierwall-agent", &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
		}, metav1.CreateOptions{})
		must(t, err)
		cfg := rest.AnonymousClientConfig(c.Config())
		cfg.BearerToken = token.Status.Token
		agents[node] = dynamic.NewForConfigOrDie(cfg)
	}
	report := func(name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "policy.tierwall.dev/v1alpha1", "kind": "NodePolicyReport", "metadata": map[string]any{"name": name},
			"report": map[string]any{"endpoints": int64(1)},
		}}
	}
	for node, agent := range agents {
		for other := range agents {
			_, err := agent.Resource(reports).Create(ctx, report(other), dryCreate)
			if got, want := err == nil, node == other; got != want {
				t.Errorf("the agent of %s creates the report of %s: allowed %t: %v", node, other, got, err)
			}
			if err != nil && !strings.Contains(err.Error(), "this one is named "+other+", and the agent is on node "+node) {
				t.Errorf("message: %v", err)
			}
		}
		_, err := agent.Resource(reports).Create(ctx, report(node), metav1.CreateOptions{})
		must(t, err)
	}
	for node, agent := range agents {
		for other := range agents {
			_, err := agent.Resource(reports).Patch(ctx, other, types.MergePatchType, []byte(`{"report":{"endpoints":2}}`), metav1.PatchOptions{})
			if got, want := err == nil, node == other; got != want {
				t.Errorf("the agent of %s changes the report of %s: allowed %t: %v", node, other, got, err)
			}
		}
		if err := agent.Resource(reports).Delete(ctx, node, metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("the agent of %s deletes a report: %v", node, err)
		}
		// What an agent has no business with.
		if _, err := in(agent, networkPolicies, "shop").Create(ctx, policyIn(networkPolicies, "shop", "default", "default.agent"), dryCreate); !apierrors.IsForbidden(err) {
			t.Errorf("the agent of %s writes a policy: %v", node, err)
		}
		secrets := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
		if _, err := agent.Resource(secrets).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("the agent of %s reads secrets: %v", node, err)
		}
		// What is only staged never comes near the kernel, so that agents have no right to it.
		for _, kind := range []schema.GroupVersionResource{stagedPolicies, stagedGlobalPolicies} {
			if _, err := agent.Resource(kind).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("the agent of %s reads %s: %v", node, kind.Resource, err)
			}
		}
		for _, kind := range []schema.GroupVersionResource{
			networkPolicies, globalNetworkPolicies, calico("tiers"), calico("networksets"), calico("globalnetworksets"), calico("hostendpoints"),
		} {
			if _, err := agent.Resource(kind).List(ctx, metav1.ListOptions{}); err != nil {
				t.Errorf("the agent of %s reads %s: %v", node, kind.Resource, err)
			}
		}
	}
	// A token that no pod has names no node.
	token, err := client.CoreV1().ServiceAccounts("tierwall-system").CreateToken(ctx, "tierwall-agent", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	cfg := rest.AnonymousClientConfig(c.Config())
	cfg.BearerToken = token.Status.Token
	_, err = dynamic.NewForConfigOrDie(cfg).Resource(reports).Patch(ctx, "node-a", types.MergePatchType, []byte(`{"report":{"endpoints":3}}`), metav1.PatchOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "names no node") {
		t.Errorf("a token without a node: %v", err)
	}
}

// testFixedTiers holds that the tiers that always exist stay what they are.
func testFixedTiers(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	tiers := admin(c).Resource(calico("tiers"))
	for name, order := range map[string]float64{"kube-admin": 1000, "default": 1_000_000, "kube-baseline": 10_000_000} {
		if _, err := tiers.Create(ctx, tier(name, order), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Errorf("tier %s: %v", name, err)
		}
		for who, client := range map[string]dynamic.Interface{"sue": as(t, c, "sue"), "the administrator": admin(c)} {
			err := client.Resource(calico("tiers")).Delete(ctx, name, metav1.DeleteOptions{})
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "tier "+name+" cannot be deleted") {
				t.Errorf("%s deletes tier %s: %v", who, name, err)
			}
		}
		for _, patch := range []string{`{"spec":{"order":5}}`, `{"spec":{"defaultAction":"` + map[string]string{"default": "Pass", "kube-admin": "Deny", "kube-baseline": "Deny"}[name] + `"}}`} {
			if _, err := tiers.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err == nil {
				t.Errorf("tier %s becomes %s", name, patch)
			}
		}
	}
	// All others are free.
	for _, err := range []error{
		func() error { _, err := tiers.Create(ctx, tier("mine", 3), metav1.CreateOptions{}); return err }(),
		func() error {
			_, err := tiers.Patch(ctx, "mine", types.MergePatchType, []byte(`{"spec":{"order":5,"defaultAction":"Pass"}}`), metav1.PatchOptions{})
			return err
		}(),
		tiers.Delete(ctx, "mine", metav1.DeleteOptions{}),
	} {
		if err != nil {
			t.Errorf("tier mine: %v", err)
		}
	}
}
