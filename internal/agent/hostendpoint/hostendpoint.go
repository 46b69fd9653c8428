// Package hostendpoint finds the interfaces of this node's host endpoints, and warns of
// those that are not enforced or would cut the agent off the API server.
package hostendpoint

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Component places host endpoints and warns of them.
type Component struct {
	component.Base
	env component.Env
	// settings are what is in force at host endpoints beside policy.
	settings dataplane.HostSettings

	// Of the loop alone.
	warned []string
	// apiServer is the address that the agent asks for; apiServerAt is the same as
	// policy for this host is asked about it: translated, if it is a Service's.
	apiServer       netip.AddrPort
	apiServerAt     netip.AddrPort
	apiServerSought time.Time
}

// New returns the component. The address of the API server may be invalid: then it is not
// known, and nothing is said about it.
func New(env component.Env, settings dataplane.HostSettings, apiServer netip.AddrPort) *Component {
	return &Component{env: env, settings: settings, apiServer: apiServer, apiServerAt: apiServer}
}

// BeforeStep reads the interfaces of this host again if they may have changed.
func (c *Component) BeforeStep(_ context.Context, s component.Step) error {
	if !s.LocalChange || !c.hasHosts() {
		return nil
	}
	interfaces, err := Interfaces()
	if err != nil {
		c.env.Log.Error("host endpoints that only have expectedIPs stay where they were", "error", err)
		return nil
	}
	c.env.Model.PlaceHosts(interfaces)
	return nil
}

func (c *Component) hasHosts() (yes bool) {
	c.env.Model.Read(func(v model.View) { yes = v.HasHosts() })
	return yes
}

// AfterStep says what host endpoints would be no good for: one that is not enforced,
// and one that would cut this agent off the API server.
func (c *Component) AfterStep(ctx context.Context, r component.Result) {
	if r.Err != nil {
		return
	}
	var notes []string
	c.env.Model.Read(func(v model.View) { notes = Unenforced(v) })
	if c.apiServerDenied(ctx) {
		notes = append(notes, fmt.Sprintf("a host endpoint of this node denies new connections to the API server at %s: allow them, or add --failsafe-out tcp:%d",
			c.apiServerAt, c.apiServerAt.Port()))
	}
	for _, n := range notes {
		if !slices.Contains(c.warned, n) {
			c.env.Log.Warn(n)
		}
	}
	c.warned = notes
}

// Unenforced says which host endpoints of this node are not enforced, and why.
func Unenforced(v model.View) []string {
	var notes []string
	first := map[string]*policy.Endpoint{}
	for _, ep := range v.Hosts() {
		switch other := first[ep.Interface]; {
		case ep.Interface == "":
			notes = append(notes, fmt.Sprintf("HostEndpoint %s: no interface of this host has any of its expectedIPs", ep.Key.Name))
		case other != nil:
			notes = append(notes, fmt.Sprintf("HostEndpoint %s: interface %s is that of HostEndpoint %s already; of several the first by name is enforced",
				ep.Key.Name, ep.Interface, other.Key.Name))
		default:
			first[ep.Interface] = ep
		}
	}
	return notes
}

// Interfaces returns the names of this host's interfaces by their addresses.
func Interfaces() (map[netip.Addr]string, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("interfaces of this host: %w", err)
	}
	names := map[netip.Addr]string{}
	for _, l := range links {
		if l.Flags&net.FlagLoopback != 0 {
			continue // never governed
		}
		addrs, err := l.Addrs()
		if err != nil {
			continue // it went away
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				names[p.Addr().Unmap()] = l.Name
			}
		}
	}
	return names, nil
}
