package cni

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// newPods makes pods with records in a directory of their own.
func newPods(dir wire.Dir, k Enforcer) *pods {
	return &pods{
		enforcer: k, dir: dir, log: slog.New(slog.DiscardHandler),
		linkExists: func(int) (bool, error) { return true, nil },
		records:    make(map[wire.Attachment]Record), owners: make(map[netip.Addr]wire.Attachment),
	}
}

// consistent says where enforcer, records, files and owners of addresses differ.
func consistent(p *pods, k *tables) error {
	told := map[wire.Attachment]string{}
	for id := range k.told {
		told[id.Attachment] = id.String()
	}
	kept, owners := map[wire.Attachment]string{}, map[netip.Addr]wire.Attachment{}
	for a, r := range p.records {
		kept[a] = r.String()
		for _, addr := range r.Addrs {
			if other, ok := owners[addr]; ok {
				return fmt.Errorf("%s is of %s and of %s", addr, other, a)
			}
			owners[addr] = a
		}
	}
	files := map[wire.Attachment]string{}
	records, problems, err := p.dir.Read()
	if err != nil || problems != nil {
		return fmt.Errorf("%w %v", err, problems)
	}
	for _, r := range records {
		files[r.Attachment] = r.String()
	}
	if diff := cmp.Diff(told, kept); diff != "" {
		return fmt.Errorf("-enforcer +records:\n%s", diff)
	}
	if diff := cmp.Diff(kept, files); diff != "" {
		return fmt.Errorf("-records +files:\n%s", diff)
	}
	if diff := cmp.Diff(owners, p.owners, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		return fmt.Errorf("-owners by records +owners:\n%s", diff)
	}
	if len(p.locks.holders) > 0 || p.waiting != 0 || len(k.both) > 0 {
		return fmt.Errorf("locks %v, %d wait, both %v", p.locks.holders, p.waiting, k.both)
	}
	return nil
}

// TestPodsProperty holds that enforcer, records and files agree after any sequence of
// events, that they know what a plain model knows, and that a restart changes nothing.
func TestPodsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tmp, err := os.MkdirTemp("", "tierwall-cni-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(tmp)
		k := newTables(true)
		p := newPods(wire.Dir(tmp), k)
		model := map[wire.Attachment]Pod{}
		drawPod := func() Pod {
			pod := testPod(rapid.SampledFrom([]string{"c1", "c2", "c3"}).Draw(t, "container"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"))
			for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(1, 4), 1, 2, rapid.ID).Draw(t, "addrs") {
				pod.Addrs = append(pod.Addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
			}
			return pod
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				pod := drawPod()
				if err := p.add(context.Background(), pod, rapid.Bool().Draw(t, "keep")); err != nil {
					t.Fatal(err)
				}
				for a, other := range model {
					for _, addr := range other.Addrs {
						for _, mine := range pod.Addrs {
							if addr == mine {
								delete(model, a)
							}
						}
					}
				}
				model[pod.Attachment] = pod
			},
			"add in vain": func(t *rapid.T) {
				pod := drawPod()
				gone, cancel := context.WithCancel(context.Background())
				cancel()
				k.open = false
				if err := p.add(gone, pod, false); err == nil {
					t.Fatal("it was added")
				}
				k.open = true
				// Those whose addresses it was given have ended all the same. How far it came does
				// not matter, so that the model takes over what there is.
				for a := range model {
					if _, ok := p.records[a]; !ok {
						delete(model, a)
					}
				}
				if _, ok := p.records[pod.Attachment]; ok {
					t.Fatal("there is a record")
				}
			},
			"del": func(t *rapid.T) {
				a := drawPod().Attachment
				if err := p.del(context.Background(), a); err != nil {
					t.Fatal(err)
				}
				delete(model, a)
			},
			"gc": func(t *rapid.T) {
				a := drawPod().Attachment
				p.collect(context.Background(), "k8s", []wire.Attachment{a})
				for other := range model {
					if other != a {
						delete(model, other)
					}
				}
			},
			"removed by a plugin": func(t *rapid.T) {
				a := drawPod().Attachment
				if err := p.dir.Remove(a); err != nil {
					t.Fatal(err)
				}
				p.sweep(context.Background())
				delete(model, a)
			},
			"restart": func(t *rapid.T) {
				// The next enforcer is told of the records by the agent.
				k = newTables(true)
				p = newPods(p.dir, k)
				if err := p.read(); err != nil {
					t.Fatal(err)
				}
				for _, r := range p.list() {
					if err := k.Ensure(context.Background(), r.Pod); err != nil {
						t.Fatal(err)
					}
				}
			},
			"": func(t *rapid.T) {
				if err := consistent(p, k); err != nil {
					t.Fatal(err)
				}
				want, got := map[wire.Attachment]string{}, map[wire.Attachment]string{}
				for a, pod := range model {
					want[a] = pod.String()
				}
				for a, r := range p.records {
					got[a] = r.String()
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("-model +records:\n%s", diff)
				}
			},
		})
	})
}

// TestPodsAtOnce lets many requests for few sandboxes and addresses meet. Whatever the
// outcome is, it is one state.
func TestPodsAtOnce(t *testing.T) {
	const workers, rounds = 16, 60
	k := newTables(true)
	p := newPods(wire.Dir(t.TempDir()), k)
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range rounds {
				pod := testPod(fmt.Sprintf("c%d", r.IntN(4)), "a", fmt.Sprintf("10.0.0.%d", 1+r.IntN(4)), fmt.Sprintf("fd00::%d", 1+r.IntN(4)))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(2000))*time.Microsecond)
				switch r.IntN(5) {
				case 0, 1:
					_ = p.add(ctx, pod, r.IntN(2) == 0)
				case 2:
					_ = p.add(t.Context(), pod, false)
				case 3:
					_ = p.del(t.Context(), pod.Attachment)
				case 4:
					p.sweep(t.Context())
				}
				cancel()
			}
		})
	}
	work.Wait()
	if err := consistent(p, k); err != nil {
		t.Error(err)
	}
}
