package nft

import (
	"strings"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

var _ dataplane.HostDecider = (*Kernel)(nil)

// DecideHost walks the kernel's chains of a hook as a packet does that came by
// the interface, or leaves by it, failsafes and the node's own pods aside.
func (k *Kernel) DecideHost(at dataplane.AttachmentKey, f policy.Flow) dataplane.Verdict {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	dir := at.Hook.Direction()
	w := walk{kernel: k, packet: newPacket(f), iface: at.Interface, direction: int(dir)}
	w.verdicts = [2]dataplane.Verdict{{Allow: true}, {Allow: true}}
	chain := hostFamily(at.Hook, w.packet.family)
	if !k.hooked(at.Hook, chain) {
		return dataplane.Verdict{Allow: true}
	}
	goes := codec.Verdict{}
	if links := k.sets[hostLinks(at.Hook, w.packet.family)]; links != nil {
		goes, _ = links.find([]byte(ifKey(at.Interface)))
	}
	if goes.Code == 0 {
		at.Interface, at.Family = policy.AllInterfaces, policy.FamilyOf(f.Src)
		goes = goTo(attachmentName(at))
	}
	if goes.Code == codec.CodeGoto {
		w.chain(goes.Chain, 0)
	}
	return w.verdicts[dir]
}

// hooked reports whether packets come to the chain of a hook at all.
func (k *Kernel) hooked(h policy.Hook, chain string) bool {
	for _, b := range k.bases {
		for _, name := range []string{b.Name, forwardChain + "4", forwardChain + "6"} {
			if b.Hook == codec.HookForward != (h == policy.HookForwardIn || h == policy.HookForwardOut) {
				continue
			}
			for _, r := range k.chains[name] {
				for _, e := range r.Exprs {
					if e.Verdict.Chain == chain {
						return true
					}
				}
			}
		}
	}
	return false
}

// Attachments lists the attachments that the kernel's chains are of, in no order. Their node
// is not known there.
func (k *Kernel) Attachments() []dataplane.AttachmentKey {
	var list []dataplane.AttachmentKey
	for _, h := range policy.Hooks {
		for family, f := range policy.Families {
			at := dataplane.AttachmentKey{Hook: h, Interface: policy.AllInterfaces, Family: f}
			if _, ok := k.chains[attachmentName(at)]; ok {
				list = append(list, at)
			}
			if links := k.sets[hostLinks(h, family)]; links != nil {
				for key := range links.elements {
					at.Interface = strings.TrimRight(key, "\x00")
					list = append(list, at)
				}
			}
		}
	}
	return list
}
