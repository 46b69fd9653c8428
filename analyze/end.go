package analyze

import (
	"cmp"
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// EndKind says what an End is.
type EndKind uint8

// The kinds, in the order in which ends are listed.
const (
	WorkloadEnd EndKind = iota + 1 // a workload whose pods are alike, a pod, or another endpoint
	HostEnd                        // the host of a HostEndpoint, by its interface
	RangeEnd                       // addresses that no endpoint and no host of a HostEndpoint has
	DomainsEnd                     // the addresses of DNS names, as far as no net names them
)

// End is one end of connections. Ends can be compared with ==.
type End struct {
	Kind EndKind
	Key  policy.Key // of the workload, pod or HostEndpoint
	// Node is set where only its pods on that node are meant.
	Node string
	// First and Last are the addresses of a range, both included. A workload or a host
	// has them, both the same, where only that address of it is meant.
	First, Last netip.Addr
	Domains     DomainNames
}

// EndOf returns the end that is an endpoint with all its addresses.
func EndOf(k policy.Key) End {
	if k.Kind == policy.KindHostEndpoint {
		return End{Kind: HostEnd, Key: k}
	}
	return End{Kind: WorkloadEnd, Key: k}
}

// At returns the end that is one address of a workload or host.
func (e End) At(a netip.Addr) End {
	e.First, e.Last = a, a
	return e
}

// Addr returns the one address of a workload or host that is meant; the zero Addr
// where all of them are.
func (e *End) Addr() netip.Addr {
	if e.Kind == RangeEnd {
		return netip.Addr{}
	}
	return e.First
}

// String returns the end as reach lists it: "shop/Deployment/web", "host/node-1",
// "10.0.0.0-10.0.0.255", "domains a.example, b.example"; with "(10.0.0.7)" for one
// address, and "(on node-1)" for the pods of one node.
func (e End) String() string {
	var text string
	switch e.Kind {
	case WorkloadEnd:
		text = e.Key.String()
	case HostEnd:
		text = "host/" + e.Key.Name
	case RangeEnd:
		return e.First.String() + "-" + e.Last.String()
	case DomainsEnd:
		if list := e.Domains.List(); len(list) != 1 {
			return "domains " + strings.Join(list, ", ")
		}
		return "domain " + e.Domains.List()[0]
	}
	if e.First.IsValid() {
		text += " (" + e.First.String() + ")"
	}
	if e.Node != "" {
		text += " (on " + e.Node + ")"
	}
	return text
}

// MarshalText returns the end's String.
func (e End) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Compare orders ends: workloads by namespace, kind and name, then hosts, ranges of
// IPv4 and of IPv6, and domains.
func (e *End) Compare(o *End) int {
	return cmp.Or(
		cmp.Compare(e.Kind, o.Kind), e.Key.Compare(o.Key), e.First.Compare(o.First), e.Last.Compare(o.Last),
		strings.Compare(e.Node, o.Node), strings.Compare(e.Domains.joined, o.Domains.joined),
	)
}

// DomainNames is a list of DNS names that can be compared with ==.
type DomainNames struct {
	joined string // a newline stands between two; no name has one
}

// NewDomainNames returns a list of names.
func NewDomainNames(names ...string) DomainNames { return DomainNames{strings.Join(names, "\n")} }

// List returns the names.
func (d DomainNames) List() []string {
	if d.joined == "" {
		return nil
	}
	return strings.Split(d.joined, "\n")
}
