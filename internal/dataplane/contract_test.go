package dataplane_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/memory"
)

// applies is a backend with what is required, and no more.
type applies struct{ dataplane.Dataplane }

// checksSources has one feature beside.
type checksSources struct{ dataplane.AntiSpoofer }

func TestRequire(t *testing.T) {
	for _, c := range []struct {
		name      string
		dataplane dataplane.Dataplane
		feature   dataplane.Feature
		has       bool
	}{
		{"memory", memory.New(), dataplane.FeatureCutting, true},
		{"memory", memory.New(), dataplane.FeatureAntiSpoofing, true},
		{"memory", memory.New(), dataplane.FeatureDNSQueue, true},
		{"no more than required", applies{}, dataplane.FeatureCutting, false},
		{"no more than required", applies{}, dataplane.FeatureAntiSpoofing, false},
		{"no more than required", applies{}, dataplane.FeatureDNSQueue, false},
		{"one of them", checksSources{}, dataplane.FeatureAntiSpoofing, true},
		{"one of them", checksSources{}, dataplane.FeatureDNSQueue, false},
		{"none that is known", memory.New(), "fly", false},
	} {
		err := dataplane.Require(c.dataplane, c.feature, "--some-flag")
		if has := dataplane.Has(c.dataplane, c.feature); has != c.has || (err == nil) != c.has {
			t.Errorf("%s, %s: has is %v, require gives %v", c.name, c.feature, has, err)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, dataplane.ErrUnsupported) || !strings.HasPrefix(err.Error(), "--some-flag: ") || !strings.Contains(err.Error(), string(c.feature)) {
			t.Errorf("%s, %s: %v names too little", c.name, c.feature, err)
		}
	}
}

// TestMemoryKeeps: memory enforces nothing, and says what it was told.
func TestMemoryKeeps(t *testing.T) {
	m, ctx := memory.New(), context.Background()
	if err := m.SetAntiSpoofing(ctx, dataplane.AntiSpoofing{Links: []dataplane.Link{{Index: 7}}}); err != nil {
		t.Fatal(err)
	}
	if err := m.SetDNSQueue(ctx, dataplane.DNSQueueRules{Queue: 4040}); err != nil {
		t.Fatal(err)
	}
	if a, r := m.AntiSpoofing(), m.DNSQueue(); len(a.Links) != 1 || r.Queue != 4040 {
		t.Errorf("got %+v, %+v", a, r)
	}
	if err := m.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if a, r := m.AntiSpoofing(), m.DNSQueue(); len(a.Links) != 0 || r.Queue != 0 {
		t.Errorf("after it was removed: %+v, %+v", a, r)
	}
}
