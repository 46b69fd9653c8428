package judges

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/memory"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// stage is the cluster with the policy of one row in force.
type stage struct {
	whole      *testing.T // the test of the whole table, at whose end all is closed
	lab        *lab.Lab
	translator *translate.Translator
	engine     *engine.Engine
	memory     *memory.Dataplane
	nft        *nft.Dataplane
	present    map[policy.Key]store.Resource
	host       policy.HostSettings // where hosts are judged
	names      *dns.Table          // what is known of names: see table_domains_test.go
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{
		whole:      t,
		lab:        newLab(t),
		translator: translate.New(translate.Options{}),
		engine:     engine.New(nil),
		memory:     memory.New(),
	}
	s.nft = s.newKernel()
	return s
}

// newKernel opens the tables of the lab's node.
func (s *stage) newKernel() *nft.Dataplane {
	s.whole.Helper()
	k, err := nft.New(nft.Options{
		NetNS:  fmt.Sprintf("/proc/self/fd/%d", s.lab.Node().FD()),
		Logger: slog.New(slog.DiscardHandler), // what goes wrong is an error, or seen by the judges
	})
	if err != nil {
		s.whole.Fatal(err)
	}
	s.whole.Cleanup(func() { _ = k.Close() }) // the tables go with the lab
	return k
}

// play brings all judges to the state of the cluster and a row's objects.
func (s *stage) play(t *testing.T, objects string) {
	t.Helper()
	wanted := map[policy.Key]store.Resource{}
	for _, r := range resources(t, cluster) {
		wanted[r.Key] = r
	}
	for _, r := range resources(t, objects) { // may replace the cluster's
		wanted[r.Key] = r
	}
	var step store.Batch
	for key, r := range wanted {
		if before, ok := s.present[key]; !ok || !reflect.DeepEqual(before.Object, r.Object) {
			step.Updated = append(step.Updated, r)
		}
	}
	for key := range s.present {
		if _, ok := wanted[key]; !ok {
			step.Deleted = append(step.Deleted, key)
		}
	}
	s.present = wanted
	result := s.translator.ApplySorted(step)
	for _, status := range result.Statuses {
		for _, f := range status.Findings {
			// Notes are of services that are not there, for example.
			if !f.Note && !f.FailClosed {
				t.Errorf("%v", f)
			}
		}
	}
	s.engine.Apply(result.Changes...)
	s.learn(result.Changes)
	s.flush(t)
	// Connections of the row before would open the way for their replies.
	if err := s.lab.Node().Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
		t.Fatal(err)
	}
}

// flush returns the engine's delta to both dataplanes.
func (s *stage) flush(t *testing.T) {
	t.Helper()
	d := s.engine.Flush()
	if d == nil {
		return
	}
	for _, dp := range []dataplane.Dataplane{s.memory, s.nft} {
		if err := dp.Apply(context.Background(), d); err != nil {
			t.Fatalf("%T: %v", dp, err)
		}
	}
}
