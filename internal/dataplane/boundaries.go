package dataplane

import (
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// Boundaries are the values at which the tables that a kernel holds may change
// their verdict: who verifies them asks there, besides where they should change.
// Lists are sorted.
type Boundaries struct {
	Locals []netip.Addr // addresses that are governed as local endpoints
	Addrs  []netip.Addr // those in sets, and first and last ones of intervals
	// Points are places in layer 4 space; of a flow only protocol, ports, type
	// and code are set.
	Points []policy.Flow
}
