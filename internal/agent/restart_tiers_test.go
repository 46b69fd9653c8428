package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

const (
	firstTier   = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: first}\nspec: {order: 10}\n"
	firstPolicy = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: first.all}\nspec: {tier: first, selector: app == 'db', types: [Ingress]}\n"
)

// TestTiersHold: whatever becomes of the tier of a policy that is in force, in a running agent and
// in those after it, the policy decides, and the status says what is wrong.
func TestTiersHold(t *testing.T) {
	remove := func(name string) func(*rig) {
		return func(r *rig) {
			if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	write := func(name, text string) func(*rig) { return func(r *rig) { r.write(name, text) } }
	const lastValid = "last valid version in force"
	for name, tc := range map[string]struct {
		change func(*rig)
		kind   string // whose status is said
		object string
		state  string
		says   string
		mend   func(*rig)
	}{
		"a wrong letter": {
			change: write("policy.yaml", strings.Replace(firstPolicy, "tier: first", "tier: frist", 1)),
			kind:   "GlobalNetworkPolicy", object: "first.all", state: lastValid, says: `tier "frist" does not exist`,
			mend: write("policy.yaml", firstPolicy),
		},
		"the tier is deleted": {
			change: remove("tier.yaml"),
			kind:   "Tier", object: "first", state: lastValid, says: "was deleted, but policies name it (GlobalNetworkPolicy first.all)",
			mend: write("tier.yaml", firstTier),
		},
		"the tier is renamed": {
			change: write("tier.yaml", strings.Replace(firstTier, "name: first", "name: fourth", 1)),
			kind:   "GlobalNetworkPolicy", object: "first.all", state: "in force", says: `tier "first" was deleted`,
			mend: write("policy.yaml", strings.Replace(firstPolicy, "tier: first", "tier: fourth", 1)),
		},
		"the tier's manifest is invalid": {
			change: write("tier.yaml", strings.Replace(firstTier, "order: 10", "order: ten", 1)),
			kind:   "Tier", object: "first", state: lastValid, says: "order",
			mend: write("tier.yaml", firstTier),
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := t.TempDir()
			r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": firstPolicy}, keepsIn(run))
			r.eventually("something is in force", func() bool { return r.status().Ready })
			r.write("tier.yaml", firstTier) // after its policy, which nothing says anything of then
			r.eventually("in force", func() bool { return denied(r) })
			tc.change(r)
			check := func(when string) {
				t.Helper()
				r.eventually(when, func() bool {
					return r.object(tc.kind, tc.object).State == tc.state && len(r.object(tc.kind, tc.object).Findings) > 0
				})
				if text := strings.Join(r.object(tc.kind, tc.object).Findings, "\n"); !strings.Contains(text, tc.says) {
					t.Errorf("%s: the status says %q, want %q", when, text, tc.says)
				}
				if allowed(r) {
					t.Errorf("%s: the policy does not decide", when)
				}
			}
			check("in the running agent")
			for range 2 { // what is held is held by the next one, too
				r.stop()
				r = newRigIn(t, r.dir, keepsIn(run))
				r.eventually("something is in force", func() bool { return r.status().Ready })
				if len(r.k.steps[0].SetPrograms) == 0 {
					t.Error("the first step had no program: a window was open")
				}
				check("after a restart")
				verifyRestored(t, r, run)
			}
			tc.mend(r)
			r.eventually("mended", func() bool {
				for _, o := range r.status().Objects {
					if len(o.Findings) > 0 {
						return false
					}
				}
				return denied(r)
			})
			remove("policy.yaml")(r)
			r.eventually("and without the policy", func() bool { return allowed(r) })
			r.stop()
			r = newRigIn(t, r.dir, keepsIn(run))
			r.eventually("something is in force", func() bool { return r.status().Ready })
			if denied(r) {
				t.Error("a policy that is gone came back")
			}
		})
	}
}

// verifyRestored: who only reads the journal finds in force what the agent does.
func verifyRestored(t *testing.T, r *rig, run string) {
	t.Helper()
	listing, err := fileStore(t, r.dir).List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got, err := restoredModel(listing, run, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, tier := range got.Model().Tiers {
		if tier.Name == "first" {
			return
		}
	}
	t.Error("for agent verify, the tier is not in force")
}

// TestTiersHoldInACluster: the same where objects come in parts and one by one, and are said to be gone.
func TestTiersHoldInACluster(t *testing.T) {
	run := t.TempDir()
	begin := func(manifests ...string) (*rig, cluster) {
		t.Helper()
		r, c := newClusterRig(t, keepsIn(run))
		for _, o := range objects(t, append([]string{agenttest.Cluster}, manifests...)...) {
			c <- store.Batch{Updated: []store.Resource{o}, More: true}
		}
		c <- store.Batch{}
		r.eventually("something is in force", func() bool { return r.status().Ready })
		return r, c
	}
	must := func(r *rig, when string) {
		t.Helper()
		if allowed(r) {
			t.Errorf("%s: the policy does not decide", when)
		}
	}
	wrong := strings.Replace(firstPolicy, "tier: first", "tier: frist", 1)

	r, c := begin(firstPolicy, firstTier) // in this order
	must(r, "at first")
	c <- store.Batch{Deleted: []policy.Key{{Kind: policy.KindTier, Name: "first"}}}
	r.eventually("the tier is held", func() bool { return r.object("Tier", "first").State == "last valid version in force" })
	must(r, "without its tier")
	r.stop()
	r, c = begin(firstPolicy)
	must(r, "after a restart without its tier")
	c <- store.Batch{Updated: objects(t, wrong)}
	r.eventually("the wrong letter is said", func() bool {
		return r.object("GlobalNetworkPolicy", "first.all").State == "last valid version in force"
	})
	must(r, "with a wrong letter beside")
	r.stop()
	r, c = begin(wrong)
	must(r, "after a restart with both")
	c <- store.Batch{Updated: objects(t, firstTier, firstPolicy)}
	r.eventually("mended", func() bool { return r.status().Invalid == 0 })
	must(r, "mended")
	c <- store.Batch{Deleted: []policy.Key{{Kind: policy.KindTier, Name: "first"}, {Kind: policy.KindGlobalNetworkPolicy, Name: "first.all"}}}
	r.eventually("both gone", func() bool { return allowed(r) })
	r.stop()
	r, _ = begin()
	if denied(r) {
		t.Error("a policy that is gone came back")
	}
}
