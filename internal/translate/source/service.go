package source

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// A rule that refers to a service means the addresses of its endpoints, and, as
// a destination, their ports with them: every endpoint of its EndpointSlices,
// ready or not, and never the service's own address, which is gone by the time
// that a packet is judged.
//
// Endpoints come and go all the time. The service becomes internal sets of the
// model: one of all addresses, and one for each set of ports that some of them
// have. Rules select these by label. So when pods start and end, nets of sets
// change; rules change only when there is a set of ports that was not there.
//
// The labels that internal sets of services carry; the value is the service, and
// the ports after it. A colon can stand neither in a label's key nor in a selector.
const (
	LabelServiceAddresses = "service:addresses"
	LabelServicePorts     = "service:ports"
)

// ServicePort is one port of endpoints.
type ServicePort struct {
	Protocol policy.Protocol
	Port     uint16
}

// Service is what a Service says.
type Service struct {
	Selector map[string]string // nil: its endpoints are not found by labels
	Ports    []TargetPort
}

// TargetPort is a port of a service as it is at its endpoints: by number, or by
// the name that each endpoint gives to one.
type TargetPort struct {
	ServicePort
	Name string // empty: the number is known
}

// EndpointSlice is what an EndpointSlice says.
type EndpointSlice struct {
	Service policy.Key // without a name if it is of none
	Ports   []ServicePort
	Addrs   []netip.Addr
}

// SortPorts sorts ports in place, and returns them without those that are there twice.
func SortPorts(ports []ServicePort) []ServicePort {
	slices.SortFunc(ports, comparePorts)
	return slices.Compact(ports)
}

func comparePorts(a, b ServicePort) int {
	if d := int(a.Protocol) - int(b.Protocol); d != 0 {
		return d
	}
	return int(a.Port) - int(b.Port)
}

// ServiceLabel returns the value of a label of a service's sets.
func ServiceLabel(key policy.Key, ports string) string {
	if ports == "" {
		return key.Namespace + "/" + key.Name
	}
	return key.Namespace + "/" + key.Name + " " + ports
}

// ServicePeerSet selects the sets of a service.
func ServicePeerSet(label string, key policy.Key, ports string) *policy.PeerSet {
	return &policy.PeerSet{
		Selector: selector.Equals(label, ServiceLabel(key, ports)), Internal: true,
		AsWritten: policy.ServicePeer{Namespace: key.Namespace, Name: key.Name},
	}
}

// ServicesOf returns the services that the rules of a parsed policy refer to. Those of
// a staged one are none: nothing of it is to reach whoever enforces. What is pending
// is a state of its own, in which it is a policy (see Pending).
func ServicesOf(p *Parsed) []policy.Key {
	if p.Policy == nil {
		return nil
	}
	var keys []policy.Key
	for _, rules := range p.Policy.Rules {
		for i := range rules {
			for _, e := range []*policy.PeerSet{rules[i].Source.Set, rules[i].Destination.Set} {
				if key, is := e.Service(); is && !slices.Contains(keys, key) {
					keys = append(keys, key)
				}
			}
		}
	}
	return keys
}
