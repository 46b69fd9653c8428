package extauthz

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/internal/httppath"
	"github.com/tierwall/tierwall/policy"
)

// flowOf makes a flow of what a proxy asks. The error says why it is none, in
// which case the request is denied. A path that servers read in different ways
// is a flow: rules with paths do not match it, and others may. Where the proxy has
// read no request (Envoy's network filter), the flow is that of a connection.
func flowOf(q *CheckRequest) (policy.Flow, error) {
	var f policy.Flow
	source, err := q.Source.addrPort("source")
	if err != nil {
		return f, err
	}
	destination, err := q.Destination.addrPort("destination")
	if err != nil {
		return f, err
	}
	f.Src, f.SrcPort = source.Addr(), source.Port()
	f.Dst, f.DstPort = destination.Addr(), destination.Port()
	if policy.FamilyOf(f.Src) != policy.FamilyOf(f.Dst) {
		return f, errors.New("source and destination are of two address families")
	}
	f.Protocol = policy.TCP
	if q.Destination.UDP {
		f.Protocol = policy.UDP // HTTP/3
	}
	if q.HTTP == nil {
		return f, nil
	}
	if q.HTTP.Method == "" {
		return f, errors.New("the request has no method")
	}
	f.HTTP = &policy.HTTPRequest{Method: q.HTTP.Method}
	f.HTTP.Path, err = httppath.Normalize(q.HTTP.Path)
	if errors.Is(err, httppath.ErrMalformed) {
		return f, fmt.Errorf("the path is %w", err)
	}
	return f, nil
}

// addrPort returns the address and port of one end.
func (p *Peer) addrPort(what string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(p.Address)
	if err != nil || addr.Zone() != "" {
		return netip.AddrPort{}, errors.New("the " + what + " has no IP address")
	}
	if p.Port > 65535 {
		return netip.AddrPort{}, errors.New("the " + what + " has no valid port")
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(p.Port)), nil
}

// identity is the service account that a peer has proved to run as.
type identity struct{ namespace, account string }

// identityOf returns the identity of a peer: of "spiffe://TRUST-DOMAIN/ns/NS/sa/NAME",
// as meshes on Kubernetes name them. Others say nothing that policy knows of.
func identityOf(principal string) (identity, bool) {
	rest, found := strings.CutPrefix(principal, "spiffe://")
	if !found {
		return identity{}, false
	}
	_, rest, _ = strings.Cut(rest, "/")
	parts := strings.Split(rest, "/")
	if len(parts) != 4 || parts[0] != "ns" || parts[2] != "sa" {
		return identity{}, false
	}
	return identity{parts[1], parts[3]}, true
}

// isOf reports whether an endpoint runs as the service account, as far as is known.
func (i identity) isOf(ep *policy.Endpoint) bool {
	if ep == nil {
		return true // nobody that policy knows by more than its address
	}
	account, found := ep.Labels.Get("projectcalico.org/serviceaccount")
	return !found || ep.Key.Namespace == i.namespace && account == i.account
}
