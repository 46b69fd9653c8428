package source

import (
	"slices"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// HostEndpoint is a host endpoint. Its addresses are those that it expects: of
// other nodes nobody tells an agent more.
type HostEndpoint struct{ *policy.Endpoint }

// maxInterfaceName is one less than IFNAMSIZ: the kernel's names end with a zero byte.
const maxInterfaceName = 15

// translateHostEndpoint translates an interface of a host, or all of them.
func translateHostEndpoint(h *v3.HostEndpoint) (*HostEndpoint, Problems) {
	var ps Problems
	ps.name(h.Name)
	ps.labels("metadata.labels", h.Labels)
	spec := &h.Spec
	if spec.Node == "" {
		ps.add("spec.node", "is missing: expected the name of the host")
	}
	switch name := spec.InterfaceName; {
	case name == "" && len(spec.ExpectedIPs) == 0:
		ps.add("spec", `interfaceName or expectedIPs is needed: give the interface's name, "*" for all interfaces of the host, or its addresses`)
	case len(name) > maxInterfaceName || strings.ContainsAny(name, "/: \t\n") || name == "." || name == "..":
		ps.add("spec.interfaceName", `%q is no interface's name: expected at most %d characters without white space, '/' and ':', or "*" for all interfaces`, name, maxInterfaceName)
	case name == "lo":
		ps.add("spec.interfaceName", `lo is never governed: a host always reaches itself`)
	case name != policy.AllInterfaces && strings.Contains(name, "*"):
		ps.add("spec.interfaceName", `%q is no pattern that is known here: expected the name of one interface, or "*" for all`, name)
	}
	ep := &policy.Endpoint{
		Key: policy.Key{Kind: policy.KindHostEndpoint, Name: h.Name}, Node: spec.Node, Interface: spec.InterfaceName,
		Labels: ownLabels(h.Labels), Ports: workloadPorts(&ps, spec.Ports), Host: &policy.Host{},
	}
	if spec.InterfaceName != policy.AllInterfaces {
		ep.Precedence = 1 // an address that a named interface expects is not that of all
	}
	ep.Profiles = ps.profileNames(spec.Profiles, "")
	for i, text := range spec.ExpectedIPs {
		a, err := parseAddr(text)
		switch {
		case err != nil:
			ps.add(at("spec.expectedIPs", i), "%v", err)
		case !slices.Contains(ep.Addrs, a):
			ep.Addrs = append(ep.Addrs, a)
		}
	}
	ep.Host.Expected = ep.Addrs
	return &HostEndpoint{ep}, ps
}

// hostOptions checks and returns what a policy says about host endpoints.
func (c *calicoPolicy) hostOptions() policy.HostOptions {
	s := c.spec
	if s.DoNotTrack && s.PreDNAT {
		c.add("spec.preDNAT", "doNotTrack and preDNAT exclude each other: make two policies of it")
	}
	for _, o := range []struct {
		field string
		set   bool
	}{{"spec.doNotTrack", s.DoNotTrack}, {"spec.preDNAT", s.PreDNAT}} {
		if o.set && !s.ApplyOnForward {
			c.lacks("spec.applyOnForward", o.field, "needs applyOnForward: true, since it acts before it is known what is routed on")
		}
	}
	if s.PreDNAT && len(s.Egress) > 0 {
		c.add("spec.egress", "preDNAT is for ingress only: remove the egress rules")
	}
	if i := slices.Index(s.Types, v3.PolicyTypeEgress); s.PreDNAT && i >= 0 {
		c.add(at("spec.types", i), "preDNAT is for ingress only: remove Egress")
	}
	return policy.HostOptions{ApplyOnForward: s.ApplyOnForward, PreDNAT: s.PreDNAT, DoNotTrack: s.DoNotTrack}
}
