package engine

import (
	"cmp"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// recomputeHosts gives the attachments of host endpoints their programs, if anything
// changed that these depend on.
func (e *compiler) recomputeHosts() {
	t := &e.hosts
	if !t.changed {
		return
	}
	t.changed = false
	clear(t.own)
	clear(t.ownNames)
	before := e.programs.last
	var list []*hostAttachment
	for _, l := range e.actingHosts() {
		for _, hook := range policy.Hooks {
			own := e.ownClasses(l, hook)
			for _, family := range policy.Families {
				p := e.attachmentOf(l, hook, family, own)
				list = append(list, &p)
			}
		}
	}
	list = withoutUngoverned(list)
	for _, was := range t.attachments {
		for _, id := range was.programs {
			e.programs.byID[id].refs--
			e.pending.programs[id] = struct{}{}
		}
	}
	e.updateInPlace(list, before)
	now := make(map[dataplane.AttachmentKey]hostAttachment, len(list))
	for _, p := range list {
		now[p.AttachmentKey] = *p
		if was, ok := t.attachments[p.AttachmentKey]; !ok || !was.Equal(p.HostAttachment) {
			e.out.SetHosts = append(e.out.SetHosts, p.HostAttachment)
		}
	}
	for key := range t.attachments {
		if _, stays := now[key]; !stays {
			e.out.DelHosts = append(e.out.DelHosts, key)
		}
	}
	slices.SortFunc(e.out.SetHosts, func(a, b dataplane.HostAttachment) int { return a.Compare(b.AttachmentKey) })
	slices.SortFunc(e.out.DelHosts, dataplane.AttachmentKey.Compare)
	t.attachments = now
}

// actingHosts returns the host endpoints that act, one for each interface. One whose
// interface nobody knows does not.
func (e *compiler) actingHosts() []*local {
	var list []*local
	for _, l := range e.hosts.locals {
		if l.endpoint.Interface != "" {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b *local) int {
		return cmp.Or(strings.Compare(a.endpoint.Node, b.endpoint.Node),
			strings.Compare(a.endpoint.Interface, b.endpoint.Interface), policy.CompareHosts(a.endpoint, b.endpoint))
	})
	return slices.CompactFunc(list, func(a, b *local) bool {
		return a.endpoint.Node == b.endpoint.Node && a.endpoint.Interface == b.endpoint.Interface
	})
}

// withoutUngoverned leaves out the attachments of hooks at which no endpoint of the node
// governs. Where some do, those that do not keep all interfaces' endpoint away.
func withoutUngoverned(attachments []*hostAttachment) []*hostAttachment {
	governed := map[dataplane.AttachmentKey]bool{}
	hook := func(k dataplane.AttachmentKey) dataplane.AttachmentKey {
		k.Interface = ""
		return k
	}
	for _, p := range attachments {
		if p.Governs() {
			governed[hook(p.AttachmentKey)] = true
		}
	}
	return slices.DeleteFunc(attachments, func(p *hostAttachment) bool { return !governed[hook(p.AttachmentKey)] })
}

// attachmentOf makes the programs of a host endpoint at one hook, and retains them. own are
// the classes for which they may not be the base.
func (e *compiler) attachmentOf(l *local, hook policy.Hook, family policy.Family, own *roaring.Bitmap) hostAttachment {
	var p hostAttachment
	p.AttachmentKey = dataplane.AttachmentKey{Node: l.endpoint.Node, Hook: hook, Interface: l.endpoint.Interface, Family: family}
	base := e.programOf(l, hook, family, nil)
	if base == 0 {
		return p // whether it governs does not depend on the class
	}
	p.Base = dataplane.ProgramID(base)
	p.programs = append(p.programs, base)
	own.Iterate(func(id uint32) bool {
		c := e.classes.byID[dataplane.ClassID(id)]
		if c.family != family {
			return true
		}
		program := e.programOf(l, hook, family, c.predicates)
		if program == base {
			e.programs.byID[program].refs--
			return true
		}
		p.programs = append(p.programs, program)
		p.Programs = append(p.Programs, dataplane.ClassProgram{Class: c.id, Program: dataplane.ProgramID(program)})
		return true
	})
	return p
}

// ownClasses returns the classes of which something is true that the rules of a
// host endpoint ask of the local side.
func (e *compiler) ownClasses(l *local, hook policy.Hook) *roaring.Bitmap {
	all := roaring.New()
	note := func(force *inForce) {
		for _, id := range force.rules[hook.Direction()] {
			r := e.rules.at(id)
			if r.own != 0 {
				e.hosts.own[r.own] = struct{}{}
				all.Or(e.predicates.at(r.own).classes)
			}
			for _, name := range r.names(true) {
				e.hosts.ownNames[name] = struct{}{}
				for _, pred := range e.predicates.names.at(name).predicates {
					all.Or(e.predicates.at(pred).classes)
				}
			}
		}
	}
	for _, id := range e.identities.at(l.identity).local.ordered {
		if en := e.policies.at(id); en.policy.Host.ActsAt(hook) {
			note(en.force)
		}
	}
	if hook.Profiles() {
		e.eachProfile(l, note)
	}
	return all
}
