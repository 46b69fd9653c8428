package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"

	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// recorder is a sink that keeps lines.
type recorder []string

func (r *recorder) AddSet(s codec.SetSpec) { *r = append(*r, fmt.Sprintf("set %+v", s)) }
func (r *recorder) AddBaseChain(c codec.ChainSpec, rules []codec.Rule) {
	*r = append(*r, fmt.Sprintf("base %+v %+v", c, rules))
}
func (r *recorder) AddChain(c codec.ChainRules) {
	*r = append(*r, fmt.Sprintf("chain %s %d %+v", c.Name, c.Order, c.Rules))
}
func (r *recorder) AddElement(set string, e codec.Element) {
	*r = append(*r, fmt.Sprintf("element of %s %+v", set, e))
}

// sameAsRendered ends the test if what steps led to at class switches and at hosts is
// not what is made from the state, and the slots it has, at once.
func sameAsRendered(t interface{ Fatalf(string, ...any) }, b *Dataplane) {
	var stepped, made recorder
	emit := func(l *layout, out sink) {
		for _, s := range l.switches {
			s.emit(&l.lookupTables, out)
		}
		l.host.content.emit(&l.lookupTables, out)
	}
	emit(b.layout, &stepped)
	scratch := *b.layout
	for i := range scratch.switches {
		scratch.switches[i] = paths[i].classSwitch()
		scratch.switches[i].settle(&b.lookupTables)
	}
	scratch.renderHost()
	emit(&scratch, &made)
	for _, r := range []recorder{stepped, made} {
		slices.Sort(r)
	}
	if diff := cmp.Diff([]string(made), []string(stepped)); diff != "" {
		t.Fatalf("made at once (-), by steps (+):\n%s", diff)
	}
}

// TestHostStepsAreFromScratch takes small steps with host endpoints. After each the
// kernel has what is made from the state at once.
func TestHostStepsAreFromScratch(t *testing.T) {
	ns := newNamespace(t)
	defer func(n, lookups, long int) { maxSpans, maxLookups, longBatch = n, lookups, long }(maxSpans, maxLookups, longBatch)
	rapid.Check(t, func(t *rapid.T) {
		maxSpans = rapid.SampledFrom([]int{0, 1, 2, 512}).Draw(t, "intervals of a class")
		maxLookups = rapid.SampledFrom([]int{1, 2, 64}).Draw(t, "look-ups")
		longBatch = rapid.SampledFrom([]int{1, 500, 128 << 10}).Draw(t, "length of a transaction")
		m := modeltest.ModelsWithHosts().Draw(t, "model")
		b, err := New(hostOptions(ns, m))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		e := onNodeA()
		e.Apply(modeltest.Changes(nil, m)...)
		steps := append([][]policy.Change{nil}, modeltest.Steps(m).Draw(t, "steps")...)
		for _, step := range steps {
			t.Logf("%v", modeltest.ChangesText(step))
			e.Apply(step...)
			if d := e.Flush(); d != nil {
				if err := b.Apply(context.Background(), d); err != nil {
					t.Fatal(err)
				}
			}
			if b.rewrites > 0 {
				t.Fatal("the kernel refused a step")
			}
			sameAsRendered(t, b)
			if findings, err := b.compare(); err != nil || len(findings) > 0 {
				t.Fatalf("the kernel differs from what was written: %q %v", findings, err)
			}
		}
	})
}

// messageTypes lists the types of the messages in a batch, sorted.
func messageTypes(t *testing.T, out *codec.Batch) []uint16 {
	t.Helper()
	var w nfnl.Writer
	out.Write(&w)
	var types []uint16
	if err := nfnl.ParseMessages(w.B, func(h nfnl.Header, _ []byte) error {
		if h.Type>>8 == unix.NFNL_SUBSYS_NFTABLES {
			types = append(types, h.Type&0xff)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(types)
	return types
}

// TestHostSetChangeIsElementsOnly: a net that comes to the set of one of a host's
// policies, or an address, is elements, and no rule or chain is written.
func TestHostSetChangeIsElementsOnly(t *testing.T) {
	b, err := New(Options{NetNS: newNamespace(t), KeepConnections: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	e := engine.New(modeltest.IsLocal)
	e.Apply(modeltest.Changes(nil, modeltest.HostPolicies(30))...)
	apply(t, b, e.Flush())
	for _, net := range []string{"203.0.113.0/24", "203.0.113.7/32"} {
		for _, c := range []policy.Change{modeltest.HostSetChange(15, netip.MustParsePrefix(net)), modeltest.HostSetChange(15)} {
			e.Apply(c)
			step, d := newStep(b), e.Flush()
			step.before(d)
			if _, _, err := b.state.Advance(d); err != nil {
				t.Fatal(err)
			}
			if err := step.after(d); err != nil {
				t.Fatal(err)
			}
			if types := messageTypes(t, step.batch); len(types) == 0 || types[0] < unix.NFT_MSG_NEWSETELEM || types[len(types)-1] > unix.NFT_MSG_DELSETELEM {
				t.Errorf("%s: more than elements: messages %v", net, types)
			}
			if err := b.send(step.batch); err != nil {
				t.Fatal(err)
			}
			step.commit()
			sameAsRendered(t, b)
		}
	}
}
