package policy

import (
	"net/netip"

	"github.com/tierwall/tierwall/selector"
)

// Family is an IP version; 0 stands for both.
type Family uint8

// The two families.
const (
	AnyFamily Family = 0
	IPv4      Family = 4
	IPv6      Family = 6
)

// String returns "IPv4" or "IPv6", and "" for both.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return ""
}

// FamilyOf returns the family of an address; an IPv4-mapped address is IPv6.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Families lists both, by their Index.
var Families = [2]Family{IPv4, IPv6}

// Index returns 0 for IPv4 and 1 for IPv6: for what is kept by family.
func (f Family) Index() int {
	if f == IPv6 {
		return 1
	}
	return 0
}

// Direction says at which end of a connection a policy acts.
type Direction uint8

// Egress acts at the connection's source, Ingress at its destination.
const (
	Egress Direction = iota
	Ingress
)

// Directions lists both, in the order in which a packet meets them.
var Directions = [2]Direction{Egress, Ingress}

// String returns "egress" or "ingress".
func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// Action is what a rule, or the end of a tier, does.
type Action uint8

// The actions. At a tier's end only Deny and Pass are used.
const (
	Allow Action = iota + 1
	Deny
	Pass
	Log
)

// String returns the action as policies write it.
func (a Action) String() string {
	switch a {
	case Allow:
		return "Allow"
	case Deny:
		return "Deny"
	case Pass:
		return "Pass"
	case Log:
		return "Log"
	}
	return "unknown"
}

// Object is a part of the model that changes as a whole: *Tier, *Policy,
// *Endpoint or *Set. Objects are immutable once handed over.
type Object interface {
	ObjectKey() Key
}

// Tier is a group of policies. Order is +Inf where the source gives none.
type Tier struct {
	Name          string
	Order         float64
	DefaultAction Action // Deny or Pass, for what no policy of the tier decides
}

// ObjectKey names the tier.
func (t *Tier) ObjectKey() Key { return Key{Kind: KindTier, Name: t.Name} }

// FixedTiers are the tiers that always exist, unless the user's own of that
// name replaces them.
func FixedTiers() []*Tier {
	return []*Tier{
		{Name: "kube-admin", Order: 1000, DefaultAction: Pass},
		{Name: "default", Order: 1_000_000, DefaultAction: Deny},
		{Name: "kube-baseline", Order: 10_000_000, DefaultAction: Pass},
	}
}

// Policy is one policy of any API. Order is +Inf where the source gives none. One of kind
// KindProfile is a profile: it has no tier, and a selector that matches nothing. Whom it
// applies to say the endpoints that name it.
type Policy struct {
	Key      Key
	Tier     string
	Order    float64
	Selector *selector.Selector // the endpoints it applies to; never nil
	Types    [2]bool            // by Direction: whether it governs it
	Rules    [2][]Rule          // by Direction, in order
	Host     HostOptions
}

// HostOptions say where a policy acts at a host endpoint; elsewhere they mean nothing.
type HostOptions struct {
	// ApplyOnForward has it govern traffic, too, that is routed through the host.
	ApplyOnForward bool
	// PreDNAT has it act before the addresses of a packet are translated, and
	// DoNotTrack before connection tracking, without state. Both are with ApplyOnForward.
	PreDNAT, DoNotTrack bool
}

// ObjectKey names the policy.
func (p *Policy) ObjectKey() Key { return p.Key }

// Rule matches a connection if all its criteria do; a zero criterion is none.
type Rule struct {
	// Index is the position of the rule in its source, from 0. One source rule
	// may become several rules here, with the same index.
	Index       int
	Action      Action
	Family      Family // AnyFamily matches both
	Protocol    *Protocol
	NotProtocol *Protocol
	ICMP        *ICMPMatch
	NotICMP     *ICMPMatch
	// HTTP is judged where a request is known. Elsewhere, at layers 3 and 4, the
	// rule matches by its other criteria.
	HTTP        *HTTPMatch
	Source      Peer
	Destination Peer
}

// Peer is what a rule demands of one side of a connection.
type Peer struct {
	// Set demands that the address is one that it denotes, NotSet that it is not.
	Set      *PeerSet
	NotSet   *PeerSet
	Nets     []netip.Prefix // the address lies in one of them; nil: no criterion
	NotNets  []netip.Prefix // the address lies in none of them
	Ports    *Ports
	NotPorts *Ports
}

// ConstrainsAddress reports whether the peer demands anything of the address, ports aside.
func (p *Peer) ConstrainsAddress() bool {
	return p.Set != nil || p.NotSet != nil || p.Nets != nil || p.NotNets != nil
}

// PeerSet denotes a set of addresses: those of every endpoint that the
// selector matches and, unless EndpointsOnly, those in the nets of every
// network set that it matches.
type PeerSet struct {
	Selector      *selector.Selector
	EndpointsOnly bool
	// DNSLearned has it denote the addresses, too, that were learned for the domains
	// of matching network sets: see Set.DNSLearned.
	DNSLearned bool
	// Internal has it denote the addresses in the nets of internal sets, and of no
	// others: see Set.Internal.
	Internal bool
	// AsWritten is what the source demands, where Selector, which holds namespaces and
	// service accounts as well, does not read like it; nil: Selector does.
	AsWritten WrittenPeer
}

// String says what the source demands.
func (e *PeerSet) String() string {
	if e.AsWritten != nil {
		return e.AsWritten.String()
	}
	return e.Selector.String()
}

// Service returns the Service whose endpoints the peer set denotes; false if it is none.
func (e *PeerSet) Service() (Key, bool) {
	if e == nil {
		return Key{}, false
	}
	p, is := e.AsWritten.(ServicePeer)
	if !is || !e.Internal {
		return Key{}, false
	}
	return p.Key(), true
}

// Endpoint is something with addresses that policy governs: a pod, a workload
// of a host without Kubernetes, or the one representative of a Deployment's pods.
type Endpoint struct {
	Key       Key
	Node      string
	Interface string // the host's side of its link; empty if unknown
	Addrs     []netip.Addr
	Labels    selector.Labels // all that a selector sees: own, namespace's, service account's
	Ports     []NamedPort
	// Profiles names the profiles that decide what no policy decides, in the order in which
	// they are asked; nil for an endpoint without one, where that is denied.
	Profiles []string
	// PlaceholderAddrs says that the source gives no address: Addrs are placeholders, which
	// no net of the model holds, except nets that hold a whole family.
	PlaceholderAddrs bool
	// Owner is the workload that a pod belongs to (its Deployment, Job, ...);
	// zero for an endpoint that is its own workload.
	Owner Key
	// Precedence decides who has an address that several endpoints claim, as
	// happens while it is handed over: see [CompareHolders]. What only one
	// endpoint claims does not depend on it.
	Precedence int32
	// Host says that it is a host endpoint; nil for a workload.
	Host *Host
}

// Host is what host endpoints have beyond others. Endpoint.Interface is the
// interface that it stands for, AllInterfaces for those that have no endpoint of
// their own, or empty: then it stands for the one that has one of Expected.
type Host struct {
	Expected []netip.Addr // as the source gives them
}

// AllInterfaces is the interface of a host endpoint that stands for all of its node.
const AllInterfaces = "*"

// ObjectKey names the endpoint.
func (e *Endpoint) ObjectKey() Key { return e.Key }

// Set is a network set: nets that selectors in rules refer to by label.
type Set struct {
	Key    Key
	Labels selector.Labels
	Nets   []netip.Prefix
	// Domains are the names that the set denotes beside its nets: "www.example.com",
	// "*.example.com", in lower case and without a final dot. What addresses they
	// have is learned where the set is used, and stands in a set of its own.
	Domains []string
	// AllowInternal says that names of the domains may have addresses of the cluster:
	// ClusterIPs, and addresses of pods and nodes.
	AllowInternal bool
	// DNSLearned says that Nets are addresses that were learned for the domains of
	// another set with the same labels. Only peer sets that ask for such count it.
	DNSLearned bool
	// Internal says that the set stands for what a rule refers to otherwise than by
	// labels of sets: the endpoints of a service, the nodes with some labels, a rule's
	// own domains. Only peer sets that ask for such count it: what users select, all()
	// included, are their own sets.
	Internal bool
}

// ObjectKey names the set.
func (s *Set) ObjectKey() Key { return s.Key }

// Node is a host of the cluster. Connections between a node and the pods on it
// are never governed.
type Node struct {
	Name   string
	Addrs  []netip.Addr
	Labels selector.Labels // its own; sets stand for the nodes that a rule selects by them
}

// Model is everything that decides: one state of the cluster's policy.
type Model struct {
	Tiers     []*Tier
	Policies  []*Policy
	Endpoints []*Endpoint
	Sets      []*Set
	Nodes     []*Node
	Host      HostSettings
}

// Change is one step from one state to the next: the object's new version, or
// nil where the object of that key is gone.
type Change struct {
	Key    Key
	Object Object
}
