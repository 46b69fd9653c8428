package kube

import (
	"slices"
	"time"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// Each kind comes on a stream of its own, so that a policy may arrive before the
// tier that was made before it. A reader who saw it so would find it without a
// tier, and put it out of force: so it is held for a moment, while its last
// version stays in force. The same is true of a host endpoint and its profiles.

// dependencyWait returns how long a change has to wait for what it refers to; 0: not at all.
// In the first state everything is there.
func (co *coalescer) dependencyWait(c *change, now time.Time) time.Duration {
	if co.phase != streaming || c.Object == nil {
		return 0
	}
	wait := max(co.waitForServices(c), co.waitFor("Namespace", c.Key.Namespace, false, c, now))
	if tier := tierOf(c.Object); tier != "" && !slices.Contains(fixedTiers, tier) {
		wait = max(wait, co.waitFor(policy.KindTier, tier, true, c, now))
	}
	if h, ok := c.Object.(*v3.HostEndpoint); ok {
		for _, name := range h.Spec.Profiles {
			if namespace, is := policy.NamespaceOfProfile(name); is {
				wait = max(wait, co.waitFor("Namespace", namespace, true, c, now))
			} else if !policy.IsReservedProfile(name) {
				wait = max(wait, co.waitFor(policy.KindProfile, name, true, c, now))
			}
		}
	}
	return wait
}

// waitFor is dependencyWait for one thing of no namespace that is referred to. With patience it
// is waited for as long as its kind cannot be read: it may well be there.
func (co *coalescer) waitFor(kind, name string, patience bool, c *change, now time.Time) time.Duration {
	if name == "" {
		return 0
	}
	st := co.state(kind)
	if st == nil || !st.served {
		return 0
	}
	if m, found := st.index.get("", name); found && m&delivered != 0 {
		return 0
	}
	if patience && (!st.synced || st.reading || st.failure != nil) {
		return co.timing.dependency
	}
	return max(0, co.timing.dependency-now.Sub(c.received))
}

var fixedTiers = func() []string {
	var out []string
	for _, t := range policy.FixedTiers() {
		out = append(out, t.Name)
	}
	return out
}()

// tierOf returns the tier that a policy of projectcalico.org names; "" for others.
func tierOf(object any) string {
	switch o := object.(type) {
	case *v3.NetworkPolicy:
		return o.Spec.Tier
	case *v3.GlobalNetworkPolicy:
		return o.Spec.Tier
	case *v3.StagedNetworkPolicy:
		return o.Spec.Tier
	case *v3.StagedGlobalNetworkPolicy:
		return o.Spec.Tier
	}
	return ""
}
