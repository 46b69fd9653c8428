package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// renderHost makes all but the programs.
func renderHost(s *dataplane.State, settings *dataplane.HostSettings) *hostContent {
	r := &hostRender{state: s, settings: settings, hooks: hostHooksOf(s, settings), out: newHostContent()}
	r.out.hooks = r.hooks
	if len(r.hooks) == 0 {
		return r.out
	}
	for _, b := range hostBases {
		if r.hooks[b.hook] {
			r.out.bases = append(r.out.bases, hostBaseChain{
				codec.ChainSpec{Name: hostName(b.hook), Base: true, Hook: b.kernel, Priority: b.priority}, r.baseRules(b.hook),
			})
		}
	}
	for _, dir := range policy.Directions {
		r.failsafes(dir)
	}
	for _, h := range policy.Hooks {
		for family := range familyDigit {
			if r.hooks[h] {
				r.hook(h, family)
			}
		}
	}
	return r.out
}

func (r *hostRender) failsafes(dir policy.Direction) {
	list := r.settings.Failsafes(dir)
	if len(list) == 0 {
		return
	}
	r.out.AddSet(codec.SetSpec{Name: failsafeSet(dir), KeyType: codec.InetProto<<codec.ConcatBits | codec.InetService, KeyLen: 8}, orderAttachmentSet)
	for _, f := range list {
		key := []byte{byte(f.Protocol), 0, 0, 0, byte(f.Port >> 8), byte(f.Port), 0, 0}
		r.out.add(failsafeSet(dir), codec.Element{Key: string(key)})
	}
}

// hook makes the chains of one hook and family.
func (r *hostRender) hook(h policy.Hook, family int) {
	links, all := false, ""
	for _, p := range r.state.Attachments() {
		if p.Hook != h || p.Family.Index() != family {
			continue
		}
		attachment := attachmentSwitch(p)
		r.out.attachments[p.AttachmentKey] = attachment
		if p.Interface == policy.AllInterfaces {
			all = attachment.name
			continue
		}
		if !links {
			links = true
			r.out.AddSet(codec.SetSpec{Name: hostLinks(h, family), KeyType: codec.IfNameType, KeyLen: codec.IfNameLen, Verdicts: true}, orderHostLinks)
		}
		r.out.add(hostLinks(h, family), codec.Element{Key: ifKey(p.Interface), Verdict: goTo(attachment.name)})
	}
	r.out.AddChain(codec.ChainRules{Name: hostFamily(h, family), Order: orderHostFamily, Rules: r.familyRules(h, family, links, all)})
}
