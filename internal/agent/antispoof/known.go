package antispoof

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/store"
)

// known puts together what the kernel is told, without the node's networks.
func (c *Component) known(links []dataplane.Link, found *hostlink.Result) (k dataplane.AntiSpoofing) {
	if c.cfg.Check {
		k.Links = links
	}
	k.NodeAddrs, k.TunnelPorts = tunnelEnds(&c.nodes, found)
	k.OverlayPorts, k.OverlayProtocols = found.Overlay.Ports, found.Overlay.Protocols
	// Others may send to any address of this node that objects name, too.
	k.OverlayAddrs = slices.Clone(found.Overlay.Addrs)
	for _, a := range found.LocalAddrs {
		if c.nodes.known[a] {
			k.OverlayAddrs = append(k.OverlayAddrs, a)
		}
	}
	slices.SortFunc(k.OverlayAddrs, netip.Addr.Compare)
	k.OverlayAddrs = slices.Compact(k.OverlayAddrs)
	return k
}

// linksOf returns the interfaces that were found, with the further sources of their pods.
func (s podSources) linksOf(found *hostlink.Result) []dataplane.Link {
	var links []dataplane.Link
	for _, l := range found.Links {
		links = append(links, dataplane.Link{
			Index: l.Index, Port: l.Bridge != "", Bridge: l.BridgeIndex, Addrs: l.Addrs, MAC: l.MAC, Sources: s[l.Key],
		})
	}
	return links
}

// Known returns what an agent tells the kernel that has these objects, and finds the same
// interfaces. Of the configuration Links is not used.
func Known(env component.Env, cfg Config, resources []store.Resource, found *hostlink.Result) dataplane.AntiSpoofing {
	c := Component{cfg: cfg, env: env}
	b := store.Batch{Updated: resources}
	c.nodes.add(&b)
	if cfg.AllowSources {
		c.sources.take(&b, env)
	}
	k := c.known(c.sources.linksOf(found), found)
	if cfg.DenyUnknown {
		k.PodNets = c.ownPodNets(resources)
	}
	return k
}

// ownPodNets returns the networks that the cluster has given to this node.
func (c *Component) ownPodNets(resources []store.Resource) []netip.Prefix {
	for i := range resources {
		if n, ok := resources[i].Object.(*corev1.Node); ok && n.Name == c.env.Node {
			return c.podNetsOf(n)
		}
	}
	return nil
}
