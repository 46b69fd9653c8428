package nft

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

var _ dataplane.Resumer = (*Dataplane)(nil)

// Fresh reports whether there was no table when the first one was written.
func (b *Dataplane) Fresh() bool { return b.fresh }

// Resume has the kernel track the connections of segments that the tables allow.
func (b *Dataplane) Resume(ctx context.Context, segments []policy.Flow) ([]policy.Flow, error) {
	if b.live == nil || !b.inForce || len(b.cutFlows) >= maxCutFlows {
		return nil, nil
	}
	segments = slices.DeleteFunc(slices.Clone(segments), func(f policy.Flow) bool {
		return !b.cutFlows[f].IsZero() || !b.cutFlows[conntrack.Reverse(f)].IsZero()
	})
	return b.live.Resume(ctx, segments, cutter{b.layout})
}

// Of connections that were cut it is remembered for a while, longer than live connections are
// taken up, that they were: what policy has ended does not come back as one of the other
// orientation. With too many of them none is taken up.
const (
	cutMemory   = 10 * time.Minute
	maxCutFlows = 1 << 16
)

// rememberCut notes connections that were cut.
func (b *Dataplane) rememberCut(cut []conntrack.Entry) {
	now := time.Now()
	maps.DeleteFunc(b.cutFlows, func(_ policy.Flow, at time.Time) bool { return now.Sub(at) > cutMemory })
	if b.cutFlows == nil {
		b.cutFlows = map[policy.Flow]time.Time{}
	}
	for _, e := range cut {
		if e.Flow.Protocol == policy.TCP && len(b.cutFlows) < maxCutFlows {
			b.cutFlows[e.Flow] = now
		}
	}
}
