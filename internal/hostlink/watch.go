package hostlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watched are the kernel's groups of notifications that tell of interfaces,
// routes, rules of policy routing and neighbours. Addresses of the host are routes as well.
const watched = unix.RTMGRP_LINK | unix.RTMGRP_NEIGH | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE |
	unix.RTMGRP_IPV4_RULE | 1<<(unix.RTNLGRP_IPV6_RULE-1)

// Watch calls changed whenever Find may find something else, until the context
// ends (then it returns nil). Neighbours come and go all the time, and can only
// tell where a pod is that was not found: changed learns if that is all. An end that a VXLAN
// interface is told of is more than that; one that it learns from a packet, or forgets, is for the next Find. The
// caller must be in the network namespace of the interfaces; Watch misses nothing
// after it has called changed for the first time. Find may be called meanwhile.
func (f *Finder) Watch(ctx context.Context, changed func(neighboursOnly bool)) error {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: watched})
	if err != nil {
		return fmt.Errorf("watch interfaces and routes: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	f.vxlan.watch(true)
	defer f.vxlan.watch(false)
	changed(false)
	for {
		messages, err := conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // some were lost
			f.vxlan.lost()
			changed(false)
			continue
		case err != nil:
			return fmt.Errorf("watch interfaces and routes: %w", err)
		}
		links, neighbours := false, false
		for _, m := range messages {
			links = f.isNewEnd(m) || isLinkOrRoute(m) || links // asked of each
			neighbours = neighbours || isFoundNeighbour(m)
		}
		if links || neighbours {
			changed(!links)
		}
	}
}

// isLinkOrRoute reports whether a message tells of more than neighbours.
func isLinkOrRoute(m netlink.Message) bool {
	switch uint16(m.Header.Type) {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return true
	}
	return false
}

// isNewEnd reports whether a message tells of an end of tunnels that was not known.
func (f *Finder) isNewEnd(m netlink.Message) bool {
	if uint16(m.Header.Type) != unix.RTM_NEWNEIGH {
		return false
	}
	var e forward
	return e.read(m.Data) && f.vxlan.isNews(&e)
}

// isFoundNeighbour passes over the steps on the way to finding one.
func isFoundNeighbour(m netlink.Message) bool {
	const ndmState = 8 // in struct ndmsg
	if uint16(m.Header.Type) != unix.RTM_NEWNEIGH || len(m.Data) < sizeofNdMsg {
		return false
	}
	state := binary.NativeEndian.Uint16(m.Data[ndmState:])
	return state&(unix.NUD_REACHABLE|unix.NUD_STALE|unix.NUD_PERMANENT) != 0
}
