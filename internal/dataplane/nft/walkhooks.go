package nft

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

var _ dataplane.HookDecider = (*Kernel)(nil)

// Zones of a hook: what the kernel has done to a packet before a base chain of this
// priority sees it.
const (
	beforeTracking = -200
	beforeDNAT     = -100
)

// isAt reports whether a base chain is where a hook is.
func isAt(c codec.ChainSpec, h policy.Hook) bool {
	kernel, zone := uint32(codec.HookForward), 2
	for _, b := range hostBases {
		if b.hook == h {
			kernel, zone = b.kernel, zoneOf(b.priority)
		}
	}
	return c.Hook == kernel && zoneOf(c.Priority) == zone
}

func zoneOf(priority int32) int {
	switch {
	case priority < beforeTracking:
		return 0
	case priority < beforeDNAT:
		return 1
	}
	return 2
}

// AtHook walks the base chains of a hook, in the order of their priorities, as a
// packet does that nothing has dropped before. Addresses in the node's own pod
// networks that are no endpoint's (--deny-unknown) are let by: see SetAntiSpoofing.
func (k *Kernel) AtHook(h policy.Hook, p dataplane.HookPacket) dataplane.HookOutcome {
	p.Src, p.Dst = p.Src.Unmap(), p.Dst.Unmap()
	w := walk{kernel: k, packet: newPacket(p.Flow), direction: -1, real: &realPacket{
		in: p.In, out: p.Out, link: p.Link, mark: p.Mark,
		skips: skippedChains(h, p.Alone),
		state: map[dataplane.PacketState]byte{
			dataplane.PacketNew: codec.StateNew, dataplane.PacketEstablished: codec.StateEstablished, dataplane.PacketRelated: codec.StateRelated,
			dataplane.PacketInvalid: codec.StateInvalid, dataplane.PacketUntracked: codec.StateUntracked,
		}[p.State],
	}}
	if p.MidStream && p.Protocol == policy.TCP {
		w.packet.transport[13] = 16 // ACK
	}
	for _, base := range k.bases {
		if !isAt(base, h) {
			continue
		}
		if end := w.chain(base.Name, 0); end == dropped {
			return dataplane.HookOutcome{Drop: true, Guard: w.real.guard}
		}
	}
	return dataplane.HookOutcome{Mark: w.real.mark, Untracked: w.real.untracked}
}

// skippedChains returns the chains, and the maps that lead to chains, which are passed over
// to hear one hook of forwarding alone: those of the other one, and of workloads.
func skippedChains(h policy.Hook, alone bool) []string {
	if !alone || !h.Forward() {
		return nil
	}
	other := policy.HookForwardIn + policy.HookForwardOut - h
	list := []string{hostFamily(other, 0), hostFamily(other, 1)}
	for _, p := range paths {
		list = append(list, p.String())
	}
	return list
}

// Misplaced says which base chains are not where they should be, or not there.
func (k *Kernel) Misplaced() []string {
	list := k.misplaced(standing)
	if k.bridge != nil {
		for _, text := range k.bridge.misplaced(bridgeBases) {
			list = append(list, "on bridges: "+text)
		}
	}
	return list
}

// misplaced is that of one table, in which some base chains always stand.
func (k *Kernel) misplaced(standing []codec.ChainSpec) []string {
	var out []string
	there := map[string]bool{}
	for _, c := range k.bases {
		there[c.Name] = true
		switch want, ok := k.ours(c.Name); {
		case !ok:
			out = append(out, fmt.Sprintf("base chain %s is none of ours", c.Name))
		case c.Hook != want.Hook || c.Priority != want.Priority:
			out = append(out, fmt.Sprintf("base chain %s is at hook %d, priority %d, and should be at hook %d, priority %d",
				c.Name, c.Hook, c.Priority, want.Hook, want.Priority))
		}
	}
	for _, c := range standing {
		if !there[c.Name] {
			out = append(out, "base chain "+c.Name+" is not there")
		}
	}
	return out
}

var (
	forwardBase = codec.ChainSpec{Name: forwardChain, Base: true, Hook: codec.HookForward, Priority: priority}
	inputBase   = codec.ChainSpec{Name: inputChain, Base: true, Hook: hookInput, Priority: priority}
	// standing are the base chains that are always there.
	standing = append([]codec.ChainSpec{forwardBase, inputBase}, guardBases...)
)

// ourBase returns a base chain of ours, which is always there or while a host endpoint governs.
func ourBase(name string) (codec.ChainSpec, bool) {
	for _, c := range standing {
		if c.Name == name {
			return c, true
		}
	}
	for _, b := range hostBases {
		if name == hostName(b.hook) {
			return codec.ChainSpec{Name: name, Base: true, Hook: b.kernel, Priority: b.priority}, true
		}
	}
	return codec.ChainSpec{}, false
}

// bridgeBase returns a base chain of the table of the bridge family.
func bridgeBase(name string) (codec.ChainSpec, bool) {
	i := slices.IndexFunc(bridgeBases, func(c codec.ChainSpec) bool { return c.Name == name })
	if i < 0 {
		return codec.ChainSpec{}, false
	}
	return bridgeBases[i], true
}

// Links returns the interfaces whose packets' sources are checked.
func (k *Kernel) Links() []uint32 {
	var list []uint32
	if s := k.sets[linksSet]; s != nil {
		for key := range s.elements {
			if len(key) == 4 {
				list = append(list, binary.NativeEndian.Uint32([]byte(key)))
			}
		}
	}
	slices.Sort(list)
	return list
}

// Failsafes returns what the sets of failsafes hold, of both directions.
func (k *Kernel) Failsafes() []policy.Failsafe {
	var list []policy.Failsafe
	for _, dir := range policy.Directions {
		if s := k.sets[failsafeSet(dir)]; s != nil {
			for key := range s.elements {
				if len(key) == 8 {
					list = append(list, policy.Failsafe{Protocol: policy.Protocol(key[0]), Port: binary.BigEndian.Uint16([]byte(key[4:]))})
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b policy.Failsafe) int {
		return int(a.Protocol)<<16 + int(a.Port) - int(b.Protocol)<<16 - int(b.Port)
	})
	return slices.Compact(list)
}
