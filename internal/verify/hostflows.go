package verify

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// hostTask is the questions that one attachment is asked: what one host endpoint says
// at one hook, in one family.
type hostTask struct {
	at         dataplane.AttachmentKey
	endpoint   *policy.Endpoint
	attachment dataplane.HostAttachment
}

// localsPerAttachment bounds the classes of the local side that an attachment is asked about
// beside those that it tells apart.
const localsPerAttachment = 2

// hostTasks lists the attachments that there should be. Host endpoints that have none at
// a hook, since nothing governs there, are asked as well.
func (v *verifier) hostTasks() []hostTask {
	first := map[[2]string]*policy.Endpoint{}
	for _, ep := range v.Model.Endpoints {
		if ep.Host == nil || ep.Interface == "" || v.IsLocal != nil && !v.IsLocal(ep) {
			continue
		}
		key := [2]string{ep.Node, ep.Interface}
		if was := first[key]; was == nil || policy.CompareHosts(ep, was) < 0 {
			first[key] = ep
		}
	}
	attachments := map[dataplane.AttachmentKey]dataplane.HostAttachment{}
	for _, p := range v.Tables.Attachments() {
		attachments[p.AttachmentKey] = p
	}
	var tasks []hostTask
	for key, ep := range first {
		for _, hook := range policy.Hooks {
			for _, family := range policy.Families {
				at := dataplane.AttachmentKey{Node: key[0], Hook: hook, Interface: key[1], Family: family}
				tasks = append(tasks, hostTask{at, ep, attachments[at]})
			}
		}
	}
	return tasks
}

// hostFlows returns the flows of a task: classes of the local side that it tells
// apart and a few more, with all classes of peers, at the corners of regions.
func (v *verifier) hostFlows(t hostTask, yield func(policy.Flow)) {
	of := func(c dataplane.ClassID) []netip.Addr {
		var list []netip.Addr
		for _, a := range v.peers[c] {
			if policy.FamilyOf(a) == t.at.Family {
				list = append(list, a)
			}
		}
		return list
	}
	others := 0
	for _, own := range v.Tables.Classes() {
		addrs := of(own)
		if len(addrs) == 0 {
			continue
		}
		if t.attachment.ProgramFor(own) == t.attachment.Base {
			if others++; others > localsPerAttachment {
				continue
			}
		}
		program := v.Tables.Program(t.attachment.ProgramFor(own))
		for _, c := range v.Tables.Classes() {
			for _, peer := range of(c) {
				f := policy.Flow{Src: peer, Dst: addrs[0]}
				if t.at.Hook.Direction() == policy.Egress {
					f.Src, f.Dst = f.Dst, f.Src
				}
				if program == nil {
					yield(withL4(f, policy.Flow{Protocol: policy.TCP, DstPort: 80, SrcPort: 49152}))
					continue
				}
				for _, g := range v.Tables.Row(program.RowFor(c)) {
					low, high := corner(f, g, false), corner(f, g, true)
					if yield(low); high != low {
						yield(high)
					}
				}
			}
		}
	}
}
