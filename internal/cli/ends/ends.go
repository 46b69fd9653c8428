// Package ends finds the ends of connections as users write them: pods, workloads, nodes,
// hosts, addresses, names of DNS.
package ends

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// End is one end of a connection before a family is chosen.
type End struct {
	Name      string           // for the reader
	Addrs     []netip.Addr     // all that it has; never empty
	Endpoint  *policy.Endpoint // nil for a node and for the world outside
	IsNode    bool
	Interface string             // of a host, by which the connection comes in or leaves; empty if unknown
	Workload  string             // what was asked for, if its first pod stands for it
	OtherPods []*policy.Endpoint // its other pods
	HostPod   string             // the pod that was asked for, if it is on the network of the node that this is
	Addr      netip.Addr         // the one that the connection uses, once chosen
}

// Resolver finds ends in a model.
type Resolver struct {
	Model *policy.Model
	// Unmanaged are the pods and workloads that are no endpoints.
	Unmanaged []translate.Unmanaged
	Source    input.Source
	namespace string       // of names without one; empty if they need one
	Names     *ResolveFlag // what is known of names of DNS; nil: nothing
	resources []store.Resource
}

// NewResolver returns what finds ends in the input; names is what is known of names of DNS.
func NewResolver(in *input.Input, names *ResolveFlag) Resolver {
	return Resolver{Model: in.Model, Unmanaged: in.Unmanaged, Source: in.Source, namespace: in.EndsIn, Names: names, resources: in.Resources}
}

// Resolve finds what --from or --to names.
func (r Resolver) Resolve(text string) (End, error) {
	if strings.TrimSpace(text) == "" {
		return End{}, fmt.Errorf("expected NAMESPACE/NAME, NAMESPACE/KIND/NAME, an IP address, node/NAME or host/NAME")
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return r.endAt(addr)
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return End{}, fmt.Errorf("expected one address, not a range of them: for example %s", p.Addr())
	}
	if err := AddressMistake(text); err != nil {
		return End{}, err
	}
	if e, found, err := r.resolvedEnd(text); found {
		return e, err
	}
	if _, _, isService := r.SplitService(text); isService {
		return End{}, UnknownKindError("service")
	}
	parts := strings.Split(text, "/")
	switch {
	case len(parts) == 2 && parts[0] == "node":
		return r.nodeEnd(parts[1])
	case len(parts) == 2 && parts[0] == "host":
		return r.Host(parts[1])
	case len(parts) == 2:
		return r.endpointEnd(parts[0], "", parts[1])
	case len(parts) == 3:
		kind, ok := KindOf(r.Model, parts[1])
		if !ok {
			return End{}, UnknownKindError(parts[1])
		}
		return r.endpointEnd(parts[0], kind, parts[2])
	case len(parts) == 1 && r.namespace != "":
		return r.endpointEnd(r.namespace, "", text)
	case len(parts) == 1:
		return End{}, needsNamespace(r.Model, text)
	}
	return End{}, fmt.Errorf("too many slashes: expected NAMESPACE/NAME or NAMESPACE/KIND/NAME")
}

// AddressMistake says what is wrong with a text that was meant to be an address;
// nil if it was not.
func AddressMistake(text string) error {
	if p, err := netip.ParseAddrPort(text); err == nil {
		return fmt.Errorf("expected an address without a port: %s; --port says the port", p.Addr())
	}
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return fmt.Errorf("expected an address without brackets: %s", a)
	}
	if strings.Count(text, ".") == 3 && strings.Trim(text, "0123456789.") == "" {
		return fmt.Errorf("it is no IPv4 address: expected four numbers from 0 to 255, without leading zeros")
	}
	return nil
}

// IsIPv6 reports whether the text is an IPv6 address.
func IsIPv6(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Unmap().Is6()
}

// endAt returns the endpoint or node that has the address, or else the address itself.
func (r Resolver) endAt(addr netip.Addr) (End, error) {
	if addr.Zone() != "" {
		return End{}, fmt.Errorf("expected an address without a zone: %s", addr.WithZone(""))
	}
	addr = addr.Unmap()
	e := End{Name: addr.String(), Addrs: []netip.Addr{addr}}
	for _, ep := range r.Model.Endpoints {
		if slices.Contains(ep.Addrs, addr) && (e.Endpoint == nil || policy.CompareHolders(ep, e.Endpoint) < 0) {
			e.Name, e.Endpoint = ep.Key.String(), ep
		}
	}
	if e.Endpoint != nil {
		return e, nil
	}
	for _, n := range r.Model.Nodes {
		if slices.Contains(n.Addrs, addr) {
			if e.IsNode { // several have it, as that of a node-local DNS cache
				e.Name = addr.String()
				break
			}
			e.Name, e.IsNode = "node/"+n.Name, true
		}
	}
	return e, nil
}

func (r Resolver) nodeEnd(name string) (End, error) {
	var names []string
	for _, n := range r.Model.Nodes {
		if n.Name == name && len(n.Addrs) > 0 {
			return End{Name: "node/" + name, Addrs: n.Addrs, IsNode: true}, nil
		}
		if n.Name == name {
			return End{}, fmt.Errorf("the node's address is unknown: no pod on it has status.hostIP; give its IP address instead")
		}
		names = append(names, "node/"+n.Name)
	}
	hint := suggest.Several("node/"+name, names)
	if hint == "" && len(names) == 0 {
		hint = "; " + strings.Replace(string(r.Source), "hold", "name", 1) + " no nodes (nodes are known from the pods on them); a pod in a namespace called node is node/Pod/" + name
	}
	return End{}, fmt.Errorf("no such node%s", hint)
}

// endpointEnd finds an endpoint by namespace and name, and by kind where it is given. Without
// a kind a pod is preferred; another workload will do if it is the only one. For a
// workload whose pods are known, its first pod stands.
func (r Resolver) endpointEnd(namespace, kind, name string) (End, error) {
	named := func(k policy.Key) bool {
		return k.Namespace == namespace && k.Name == name && (kind == "" || strings.EqualFold(kind, k.Kind))
	}
	pods := map[policy.Key][]*policy.Endpoint{} // by what the name may mean
	for _, ep := range r.Model.Endpoints {
		for _, k := range []policy.Key{ep.Key, ep.Owner} {
			if named(k) {
				pods[k] = append(pods[k], ep)
			}
		}
	}
	found := slices.SortedFunc(maps.Keys(pods), policy.Key.Compare)
	if pod := slices.IndexFunc(found, func(k policy.Key) bool { return k.Kind == policy.KindPod }); pod >= 0 {
		found = found[pod : pod+1]
	}
	switch len(found) {
	case 0:
		return r.hostPodEnd(namespace, kind, name)
	case 1:
		return workloadEnd(found[0], pods[found[0]])
	}
	var names []string
	for _, k := range found {
		names = append(names, k.String())
	}
	return End{}, fmt.Errorf("several workloads have this name: write %s", suggest.OrList(names))
}

// workloadEnd is the end that a workload's first pod is, which may be the
// workload's own stand-in.
func workloadEnd(key policy.Key, pods []*policy.Endpoint) (End, error) {
	pods = slices.DeleteFunc(pods, func(ep *policy.Endpoint) bool { return len(ep.Addrs) == 0 })
	if len(pods) == 0 {
		return End{}, fmt.Errorf("%s has no address", key)
	}
	slices.SortFunc(pods, func(a, b *policy.Endpoint) int { return a.Key.Compare(b.Key) })
	e := End{Name: pods[0].Key.String(), Addrs: pods[0].Addrs, Endpoint: pods[0], OtherPods: pods[1:]}
	if pods[0].Key != key {
		e.Workload = key.String()
	}
	return e, nil
}
