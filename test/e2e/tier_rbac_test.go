package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/test/e2e/cluster"
)

// The kinds of policies that are in tiers.
var (
	networkPolicies       = calico("networkpolicies")
	globalNetworkPolicies = calico("globalnetworkpolicies")
	stagedPolicies        = calico("stagednetworkpolicies")
	stagedGlobalPolicies  = calico("stagedglobalnetworkpolicies")

	tieredKinds = []schema.GroupVersionResource{networkPolicies, globalNetworkPolicies, stagedPolicies, stagedGlobalPolicies}
	kindNames   = map[schema.GroupVersionResource]string{
		networkPolicies: "NetworkPolicy", globalNetworkPolicies: "GlobalNetworkPolicy",
		stagedPolicies: "StagedNetworkPolicy", stagedGlobalPolicies: "StagedGlobalNetworkPolicy",
	}
)

func calico(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "projectcalico.org", Version: "v3", Resource: resource}
}

func isGlobal(kind schema.GroupVersionResource) bool {
	return strings.Contains(kind.Resource, "global")
}

// The tiers of the matrix: two that the shipped roles name, and one that none does.
var matrixTiers = []string{"default", "application", "platform", "security"}

// policyIn is a policy of a tier, named as Calico names them.
func policyIn(kind schema.GroupVersionResource, namespace, tier, name string) *unstructured.Unstructured {
	p := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "projectcalico.org/v3", "kind": kindNames[kind],
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"tier": tier, "selector": "all()"},
	}}
	if namespace != "" {
		p.SetNamespace(namespace)
	}
	return p
}

// as is a client that acts as a user.
func as(t *testing.T, c *cluster.Cluster, user string, groups ...string) dynamic.Interface {
	t.Helper()
	cfg := c.Config()
	cfg.QPS, cfg.Burst = -1, 0
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	return dynamic.NewForConfigOrDie(cfg)
}

func admin(c *cluster.Cluster) dynamic.Interface {
	cfg := c.Config()
	cfg.QPS, cfg.Burst = -1, 0
	return dynamic.NewForConfigOrDie(cfg)
}

// in returns the resources of a kind in a namespace, or the global ones.
func in(client dynamic.Interface, kind schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return client.Resource(kind)
	}
	return client.Resource(kind).Namespace(namespace)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// installed is a control plane with tierwall's manifest, its admission in force.
func installed(t *testing.T) *cluster.Cluster {
	t.Helper()
	ctx := t.Context()
	c := cluster.Start(t, cluster.Options{})
	must(t, c.Apply(ctx, installManifest(t)))
	_, err := c.Kubectl(ctx, "wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/part-of=tierwall", "--timeout=60s")
	must(t, err)
	must(t, c.Apply(ctx, grants))
	// A policy of admission acts some time after it has been made, and the rights of
	// the roles that are made of others as well.
	eventually(t, "admission in force", func() error {
		_, err := as(t, c, "bob").Resource(globalNetworkPolicies).Create(ctx, policyIn(globalNetworkPolicies, "", "security", "security.probe"), dryCreate)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "tierwall-tier-rbac") {
			return fmt.Errorf("not refused by it: %w", err)
		}
		report := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "policy.tierwall.dev/v1alpha1", "kind": "NodePolicyReport",
			"metadata": map[string]any{"name": "x"}, "report": map[string]any{"endpoints": int64(0)}}}
		_, err = as(t, c, agentUser).Resource(reports).Create(ctx, report, dryCreate)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "tierwall-node-reports") {
			return fmt.Errorf("reports: not refused by it: %w", err)
		}
		err = admin(c).Resource(calico("tiers")).Delete(ctx, "default", metav1.DeleteOptions{DryRun: dryRun})
		if apierrors.IsNotFound(err) {
			_, err = admin(c).Resource(calico("tiers")).Create(ctx, tier("default", 1_000_000), metav1.CreateOptions{})
		}
		if err == nil || !strings.Contains(err.Error(), "tierwall-fixed-tiers") {
			return fmt.Errorf("tiers: not refused by it: %w", err)
		}
		_, err = as(t, c, "edna", "editors").Resource(networkPolicies).Namespace("shop").Create(ctx, policyIn(networkPolicies, "shop", "default", "probe"), dryCreate)
		return err
	})
	return c
}

func tier(name string, order float64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "projectcalico.org/v3", "kind": "Tier",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"order": order}}}
}

// eventually repeats f until it succeeds, for two minutes.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

var (
	dryRun    = []string{metav1.DryRunAll}
	dryCreate = metav1.CreateOptions{DryRun: dryRun}
)

func TestTierRBAC(t *testing.T) {
	c := installed(t)
	ctx := t.Context()
	root := admin(c)
	for i, name := range []string{"application", "platform", "security"} {
		_, err := root.Resource(calico("tiers")).Create(ctx, tier(name, float64(100+i)), metav1.CreateOptions{})
		must(t, err)
	}
	for _, kind := range tieredKinds {
		for _, namespace := range namespacesOf(kind) {
			for _, tier := range matrixTiers {
				_, err := in(root, kind, namespace).Create(ctx, policyIn(kind, namespace, tier, tier+".seed"), metav1.CreateOptions{})
				must(t, err)
			}
		}
	}
	t.Run("matrix", func(t *testing.T) { testMatrix(t, c) })
	t.Run("move", func(t *testing.T) { testMove(t, c) })
	t.Run("names", func(t *testing.T) { testNames(t, c) })
	t.Run("messages", func(t *testing.T) { testMessages(t, c) })
	t.Run("collection", func(t *testing.T) { testDeleteCollection(t, c) })
	t.Run("certificate", func(t *testing.T) { testCertificate(t, c) })
	t.Run("system", func(t *testing.T) { testSystem(t, c) })
	t.Run("status", func(t *testing.T) { testStatus(t, c) })
	t.Run("reports", func(t *testing.T) { testReports(t, c) })
	t.Run("fixed tiers", func(t *testing.T) { testFixedTiers(t, c) })
}

func namespacesOf(kind schema.GroupVersionResource) []string {
	if isGlobal(kind) {
		return []string{""}
	}
	return []string{"shop", "bank"}
}

// testMatrix asks for every user, kind, namespace, tier and verb.
func testMatrix(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	root := admin(c)
	verbs := map[string]func(client dynamic.ResourceInterface, seed *unstructured.Unstructured) error{
		"create": func(client dynamic.ResourceInterface, seed *unstructured.Unstructured) error {
			p := policyIn(seed.GroupVersionKind().GroupVersion().WithResource(""), seed.GetNamespace(), "", "")
			p.SetKind(seed.GetKind())
			p.Object["spec"] = seed.Object["spec"]
			p.SetName(strings.Replace(seed.GetName(), "seed", "new", 1))
			_, err := client.Create(ctx, p, dryCreate)
			return err
		},
		"generate": func(client dynamic.ResourceInterface, seed *unstructured.Unstructured) error {
			p := &unstructured.Unstructured{Object: map[string]any{"apiVersion": seed.GetAPIVersion(), "kind": seed.GetKind(), "spec": seed.Object["spec"],
				"metadata": map[string]any{"generateName": "new-"}}}
			_, err := client.Create(ctx, p, dryCreate)
			return err
		},
		"update": func(client dynamic.ResourceInterface, seed *unstructured.Unstructured) error {
			p := seed.DeepCopy()
			p.SetLabels(map[string]string{"a": "b"})
			_, err := client.Update(ctx, p, metav1.UpdateOptions{DryRun: dryRun})
			return err
		},
		"patch": func(client dynamic.ResourceInterface, seed *unstructured.Unstructured) error {
			_, err := client.Patch(ctx, seed.GetName(), types.MergePatchType, []byte(`{"spec":{"order":7}}`), metav1.PatchOptions{DryRun: dryRun})
			return err
		},
		"apply": func(client dynamic.ResourceInterface, seed *unstructured.Unstructured) error {
			p := &unstructured.Unstructured{Object: map[string]any{"apiVersion": seed.GetAPIVersion(), "kind": seed.GetKind(), "spec": seed.Object["spec"],
				"metadata": map[string]any{"name": strings.Replace(seed.GetName(), "seed", "applied", 1)}}}
			_, err := client.Apply(ctx, p.GetName(), p, metav1.ApplyOptions{FieldManager: "e2e", DryRun: dryRun})
			return err
		},
		"delete": func(client dynamic.ResourceInterface, seed *unstructured.Unstructured) error {
			return client.Delete(ctx, seed.GetName(), metav1.DeleteOptions{DryRun: dryRun})
		},
	}
	asked := 0
	for _, user := range matrixUsers {
		client := as(t, c, user.name, user.group)
		for _, kind := range tieredKinds {
			for _, namespace := range namespacesOf(kind) {
				for _, tier := range matrixTiers {
					seed, err := in(root, kind, namespace).Get(ctx, tier+".seed", metav1.GetOptions{})
					must(t, err)
					want := user.may(kind, namespace, tier)
					for verb, do := range verbs {
						err := do(in(client, kind, namespace), seed)
						asked++
						if got := err == nil; got != want || err != nil && !apierrors.IsForbidden(err) {
							t.Errorf("%s: %s %s in tier %s of namespace %q: allowed %t, expected %t: %v", user.name, verb, kind.Resource, tier, namespace, got, want, err)
						}
					}
				}
			}
		}
	}
	t.Logf("%d requests", asked)
}

// testMove changes the tier of a policy, which takes the rights of both.
func testMove(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	for _, user := range matrixUsers {
		client := as(t, c, user.name, user.group)
		for _, kind := range []schema.GroupVersionResource{networkPolicies, stagedGlobalPolicies} {
			namespace := namespacesOf(kind)[0]
			for _, from := range matrixTiers {
				for _, to := range matrixTiers {
					_, err := in(client, kind, namespace).Patch(ctx, from+".seed", types.MergePatchType, []byte(`{"spec":{"tier":"`+to+`"}}`), metav1.PatchOptions{DryRun: dryRun})
					want := user.may(kind, namespace, from) && user.may(kind, namespace, to)
					if got := err == nil; got != want {
						t.Errorf("%s: move %s from %s to %s: allowed %t, expected %t: %v", user.name, kind.Resource, from, to, got, want, err)
					}
				}
			}
		}
	}
	// To leave spec.tier out is to move to tier default.
	p := policyIn(networkPolicies, "shop", "", "security.seed")
	p.Object["spec"] = map[string]any{"selector": "all()"}
	seed, err := in(admin(c), networkPolicies, "shop").Get(ctx, "security.seed", metav1.GetOptions{})
	must(t, err)
	p.SetResourceVersion(seed.GetResourceVersion())
	if _, err := in(as(t, c, "alice"), networkPolicies, "shop").Update(ctx, p, metav1.UpdateOptions{DryRun: dryRun}); !apierrors.IsForbidden(err) {
		t.Errorf("alice takes a policy out of tier security: %v", err)
	}
}

// testNames holds that a right may name one policy, with its tier in front or not.
func testNames(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	olga := as(t, c, "olga").Resource(globalNetworkPolicies)
	for name, want := range map[string]bool{"one": true, "security.one": true, "two": false, "security.two": false, "security.one.more": false} {
		_, err := olga.Create(ctx, policyIn(globalNetworkPolicies, "", "security", name), dryCreate)
		if got := err == nil; got != want {
			t.Errorf("olga creates %s in tier security: allowed %t, expected %t: %v", name, got, want, err)
		}
	}
	// The name says nothing of the tier, spec.tier does.
	if _, err := olga.Create(ctx, policyIn(globalNetworkPolicies, "", "platform", "security.one"), dryCreate); !apierrors.IsForbidden(err) {
		t.Errorf("olga creates security.one in tier platform: %v", err)
	}
	// olga may not delete.
	_, err := admin(c).Resource(globalNetworkPolicies).Create(ctx, policyIn(globalNetworkPolicies, "", "security", "one"), metav1.CreateOptions{})
	must(t, err)
	if err := olga.Delete(ctx, "one", metav1.DeleteOptions{DryRun: dryRun}); !apierrors.IsForbidden(err) {
		t.Errorf("olga deletes: %v", err)
	}
	if _, err := olga.Patch(ctx, "one", types.MergePatchType, []byte(`{"spec":{"order":1}}`), metav1.PatchOptions{DryRun: dryRun}); err != nil {
		t.Errorf("olga patches: %v", err)
	}
}

// testMessages holds that a refusal says what is missing.
func testMessages(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	for _, tt := range []struct {
		user, namespace, tier string
		kind                  schema.GroupVersionResource
		want                  []string
	}{
		{"bob", "shop", "security", networkPolicies, []string{"user bob may not create networkpolicies security.x in tier security", "get on tiers security", "Role of namespace shop"}},
		{"carl", "shop", "security", networkPolicies, []string{"it takes create on tier.networkpolicies security.* or security.x", "resourceNames [security.*], verbs [create]"}},
		{"bob", "", "security", stagedGlobalPolicies, []string{"get on tiers security", "bound by a ClusterRoleBinding"}},
	} {
		_, err := in(as(t, c, tt.user), tt.kind, tt.namespace).Create(ctx, policyIn(tt.kind, tt.namespace, tt.tier, tt.tier+".x"), dryCreate)
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s in tier %s: %v\nexpected: %s", tt.user, tt.tier, err, want)
			}
		}
	}
}

// testDeleteCollection holds that a collection is checked policy by policy.
func testDeleteCollection(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	root := admin(c)
	must(t, c.Apply(ctx, `{apiVersion: v1, kind: Namespace, metadata: {name: heap}}`))
	must(t, c.Apply(ctx, `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: alice, namespace: heap}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "tierwall:app-team"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
`))
	for _, tier := range matrixTiers {
		_, err := in(root, networkPolicies, "heap").Create(ctx, policyIn(networkPolicies, "heap", tier, tier+".seed"), metav1.CreateOptions{})
		must(t, err)
	}
	err := in(as(t, c, "alice"), networkPolicies, "heap").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("alice deletes all: %v", err)
	}
	left, err := in(root, networkPolicies, "heap").List(ctx, metav1.ListOptions{})
	must(t, err)
	var names []string
	for _, p := range left.Items {
		names = append(names, p.GetName())
	}
	if !slices.Contains(names, "platform.seed") || !slices.Contains(names, "security.seed") {
		t.Errorf("left of the collection: %v", names)
	}
	if err := in(as(t, c, "sue"), networkPolicies, "heap").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Errorf("sue deletes all: %v", err)
	}
}
