package nft

import (
	"sync/atomic"
	"time"

	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// Dataplane holds the table of one network namespace.
type Dataplane struct {
	*layout
	*writer
	table  codec.TableID
	dns    *dnsTable // of answers; nil: there was never one
	bridge bridgeTable
	live   *conntrack.Table // nil: connections are left alone
	// later leaves cutting to Cut, and due says that there may be something to cut.
	later, due bool
	// inForce says that the kernel holds what layout says, as far as we know.
	inForce bool
	// fresh says that the first table was written where there was none.
	fresh bool
	// cutFlows are connections that were cut, and when: they are not taken up again.
	cutFlows map[policy.Flow]time.Time
	// rewrites counts how often the kernel refused a step, and all was written anew.
	rewrites int
	// ended counts the connections that were cut.
	ended atomic.Uint64
}

// relaid derives everything from the state again; what is known of interfaces and the options stay.
func (b *Dataplane) relaid(s *dataplane.State) *layout {
	next := newLayout(s)
	if b.dns.isThere() {
		next.setSpare(dnsSpare)
	}
	next.host.settings, next.guards, next.logging = b.host.settings, b.guards, b.logging
	next.known, next.tunnels = b.known, b.tunnels
	next.know(b.known)
	next.renderHost()
	next.countRowChains()
	return next
}
