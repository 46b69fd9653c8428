package kube

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/tierwall/tierwall/policy"
)

// An agent of a large cluster watches its own node only: the heartbeats of all others
// would reach every agent. Once a policy selects nodes as peers, it watches all.

// watchAll has all objects of a kind watched of which only one was: the kind is not
// read until all of them are. Watch does it, when allWanted is closed.
func (co *coalescer) watchAll(st *state) {
	if st == nil || st.kind.only == "" || st.wantsAll {
		return
	}
	st.wantsAll, st.synced = true, false
	close(st.allWanted)
}

// selectsNodes reports whether an object is a policy with nodes among its peers.
func selectsNodes(object any) bool {
	set := func(s *metav1.LabelSelector) bool { return s != nil }
	switch o := object.(type) {
	case *v1alpha2.ClusterNetworkPolicy:
		return slices.ContainsFunc(o.Spec.Egress, func(r v1alpha2.ClusterNetworkPolicyEgressRule) bool {
			return slices.ContainsFunc(r.To, func(p v1alpha2.ClusterNetworkPolicyEgressPeer) bool { return set(p.Nodes) })
		})
	case *v1alpha1.AdminNetworkPolicy:
		return slices.ContainsFunc(o.Spec.Egress, func(r v1alpha1.AdminNetworkPolicyEgressRule) bool {
			return slices.ContainsFunc(r.To, func(p v1alpha1.AdminNetworkPolicyEgressPeer) bool { return set(p.Nodes) })
		})
	case *v1alpha1.BaselineAdminNetworkPolicy:
		return slices.ContainsFunc(o.Spec.Egress, func(r v1alpha1.BaselineAdminNetworkPolicyEgressRule) bool {
			return slices.ContainsFunc(r.To, func(p v1alpha1.BaselineAdminNetworkPolicyEgressPeer) bool { return set(p.Nodes) })
		})
	}
	return false
}

// reflectNarrow watches the one object of a kind, and all when they are wanted.
func (co *coalescer) reflectNarrow(ctx context.Context, st *state, reflect func(context.Context, *state)) {
	narrow, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		reflect(narrow, st)
	}()
	select {
	case <-ctx.Done():
		<-done
		return
	case <-st.allWanted:
	}
	cancel()
	<-done
	co.mu.Lock()
	st.kind.only, st.wantsAll = "", false
	co.mu.Unlock()
	reflect(ctx, st)
}

// isNarrow reports whether only one object of the kind is watched.
func (k *kind) isNarrow() bool {
	return k.only != "" && (k.Key == policy.KindNode || k.Key == policy.KindService)
}
