package conntrack

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// Nobody is told when the kernel's connections are flushed, but by an event for each of
// them. So an entry of our own is among them, of addresses that nobody has: when it is gone
// before its time, all others are.

// sentinel is the entry. 240.0.0.0/4 is reserved, and never on a wire.
var sentinel = policy.Flow{
	Src: netip.MustParseAddr("240.0.0.1"), Dst: netip.MustParseAddr("240.0.0.2"), Protocol: policy.UDP, SrcPort: 7412, DstPort: 7412,
}

// sentinelTimeout is how long the entry lives when nobody renews it, in seconds: after the
// agent has ended it is gone soon.
const sentinelTimeout = 60

// RenewSentinel makes or renews an entry by which a flush of all connections is noticed, and
// reports whether there was none: the first time, after a flush, or when it was not renewed for a minute.
func (t *Table) RenewSentinel() (wasGone bool, err error) {
	var w nfnl.Writer
	writeEntry(&w, sentinel, 0, sentinelTimeout)
	if err = t.conn.Do(&w, 1, nil); err == nil || !errors.Is(err, unix.ENOENT) {
		return false, wrapSentinel(err)
	}
	w.Reset()
	writeEntry(&w, sentinel, unix.NLM_F_CREATE|unix.NLM_F_EXCL, sentinelTimeout)
	return true, wrapSentinel(t.conn.Do(&w, 1, nil))
}

// RemoveSentinel takes the entry away.
func (t *Table) RemoveSentinel() error {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_CTNETLINK, messageDelete, unix.NLM_F_ACK, unix.AF_INET)
	writeDirection(&w, attrOriginal, sentinel.Protocol, sentinel.Src, sentinel.Dst, sentinel.SrcPort, sentinel.DstPort)
	w.End()
	if err := t.conn.Do(&w, 1, nil); !errors.Is(err, unix.ENOENT) {
		return wrapSentinel(err)
	}
	return nil
}

func wrapSentinel(err error) error {
	if err != nil {
		return fmt.Errorf("conntrack: an entry to notice a flush by: %w", err)
	}
	return nil
}
