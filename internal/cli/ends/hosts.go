package ends

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// Host is the host of a HostEndpoint, by the endpoint's interface.
func (r Resolver) Host(name string) (End, error) {
	var names []string
	for _, ep := range r.Model.Endpoints {
		if ep.Host == nil {
			continue
		}
		if names = append(names, "host/"+ep.Key.Name); ep.Key.Name != name {
			continue
		}
		e := End{Name: "host/" + name, Addrs: ep.Addrs, Endpoint: ep, Interface: ep.Interface}
		for _, n := range r.Model.Nodes {
			if n.Name == ep.Node && len(e.Addrs) == 0 {
				e.Addrs = n.Addrs
			}
		}
		if len(e.Addrs) == 0 {
			return End{}, fmt.Errorf("the address of node %s is unknown: give HostEndpoint %s expectedIPs, or its IP address instead", ep.Node, name)
		}
		return e, nil
	}
	hint := suggest.Several("host/"+name, names)
	if len(names) == 0 {
		hint = "; there are no HostEndpoints"
	}
	return End{}, fmt.Errorf("no such HostEndpoint%s", hint)
}

// hostPodEnd is the node on whose network the pod is, or the first pod of the workload, that
// the name means: what it sends and receives is the node's.
func (r Resolver) hostPodEnd(namespace, kind, name string) (End, error) {
	var pod *translate.Unmanaged
	for i := range r.Unmanaged {
		u := &r.Unmanaged[i]
		named := func(k policy.Key) bool {
			return k.Namespace == namespace && k.Name == name && (kind == "" || strings.EqualFold(kind, k.Kind))
		}
		if u.Reason != translate.HostNetwork || !named(u.Key) && !named(u.Owner) {
			continue
		}
		if pod == nil || len(pod.Addrs) == 0 && len(u.Addrs) > 0 {
			pod = u
		}
	}
	if pod == nil {
		return End{}, r.NotFoundError(namespace, kind, name)
	}
	if e, err := r.nodeEnd(pod.Node); err == nil {
		e.HostPod = pod.Key.String()
		return e, nil
	}
	if len(pod.Addrs) == 0 {
		return End{}, errors.New("it uses its node's network, and no status.hostIP says which address that is: name the node (node/NAME) or its address instead")
	}
	return End{Name: pod.Key.String(), Addrs: pod.Addrs, IsNode: true, HostPod: pod.Key.String()}, nil
}

// NodeOf returns the node that an address is on, or that has it; empty if none is known.
func (r Resolver) NodeOf(a netip.Addr) string {
	node, _ := evaluate.Locate(evaluate.Plain(r.Model), a)
	return node
}

// HasHostEndpoint reports whether a node has host endpoints.
func (r Resolver) HasHostEndpoint(node string) bool {
	return node != "" && slices.ContainsFunc(r.Model.Endpoints, func(ep *policy.Endpoint) bool { return ep.Host != nil && ep.Node == node })
}

// Router returns the node that node/NAME or host/NAME stands for, and the interface of
// the HostEndpoint in the latter case.
func (r Resolver) Router(text string) (node, iface string, err error) {
	kind, name, _ := strings.Cut(text, "/")
	var known []string
	switch kind {
	case "node":
		for _, n := range r.Model.Nodes {
			known = append(known, "node/"+n.Name)
			if n.Name == name {
				return name, "", nil
			}
		}
		for _, ep := range r.Model.Endpoints {
			if ep.Host != nil || ep.Node != "" {
				known = append(known, "node/"+ep.Node)
				if ep.Node == name {
					return name, "", nil
				}
			}
		}
		return "", "", fmt.Errorf("no such node%s", suggest.Several(text, known))
	case "host":
		for _, ep := range r.Model.Endpoints {
			if ep.Host == nil {
				continue
			}
			known = append(known, "host/"+ep.Key.Name)
			if ep.Key.Name == name {
				return ep.Node, ep.Interface, nil
			}
		}
		return "", "", fmt.Errorf("no such HostEndpoint%s", suggest.Several(text, known))
	}
	return "", "", fmt.Errorf("expected node/NAME, or host/NAME for a HostEndpoint")
}
