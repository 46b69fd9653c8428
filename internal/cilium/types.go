package cilium

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// NetworkPolicy is a CiliumNetworkPolicy: its rules are about the endpoints of its
// namespace.
type NetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   *Rule  `json:"spec,omitempty"`
	Specs  []Rule `json:"specs,omitempty"`
	Status Status `json:"status,omitzero"`
}

// ClusterwideNetworkPolicy is a CiliumClusterwideNetworkPolicy.
type ClusterwideNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   *Rule  `json:"spec,omitempty"`
	Specs  []Rule `json:"specs,omitempty"`
	Status Status `json:"status,omitzero"`
}

// Status is what Cilium says of a policy; nothing of it is read.
type Status struct{}

// Rule says what endpoints, or nodes, may and must not do.
type Rule struct {
	EndpointSelector  *metav1.LabelSelector `json:"endpointSelector,omitempty"`
	NodeSelector      *metav1.LabelSelector `json:"nodeSelector,omitempty"`
	Ingress           []IngressRule         `json:"ingress,omitempty"`
	IngressDeny       []IngressRule         `json:"ingressDeny,omitempty"`
	Egress            []EgressRule          `json:"egress,omitempty"`
	EgressDeny        []EgressRule          `json:"egressDeny,omitempty"`
	EnableDefaultDeny DefaultDeny           `json:"enableDefaultDeny,omitzero"`
	Labels            []Label               `json:"labels,omitempty"`
	Description       string                `json:"description,omitempty"`
	Log               *Log                  `json:"log,omitempty"`
}

// DefaultDeny says in which directions a rule denies by default; left out, it is
// those for which it has a section.
type DefaultDeny struct {
	Ingress *bool `json:"ingress,omitempty"`
	Egress  *bool `json:"egress,omitempty"`
}

// Label is for people; it decides nothing.
type Label struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Source string `json:"source,omitempty"`
}

// Log is for people; it decides nothing.
type Log struct {
	Value string `json:"value,omitempty"`
}

// IngressRule matches connections by their source. One of the lists of sources may
// be given.
type IngressRule struct {
	FromEndpoints  []metav1.LabelSelector `json:"fromEndpoints,omitempty"`
	FromRequires   []metav1.LabelSelector `json:"fromRequires,omitempty"`
	FromCIDR       []string               `json:"fromCIDR,omitempty"`
	FromCIDRSet    []CIDRRule             `json:"fromCIDRSet,omitempty"`
	FromEntities   []string               `json:"fromEntities,omitempty"`
	FromGroups     []Opaque               `json:"fromGroups,omitempty"`
	FromNodes      []metav1.LabelSelector `json:"fromNodes,omitempty"`
	ToPorts        []PortRule             `json:"toPorts,omitempty"`
	ICMPs          []ICMPRule             `json:"icmps,omitempty"`
	Authentication *Authentication        `json:"authentication,omitempty"`
}

// EgressRule matches connections by their destination. One of the lists of
// destinations may be given.
type EgressRule struct {
	ToEndpoints    []metav1.LabelSelector `json:"toEndpoints,omitempty"`
	ToRequires     []metav1.LabelSelector `json:"toRequires,omitempty"`
	ToCIDR         []string               `json:"toCIDR,omitempty"`
	ToCIDRSet      []CIDRRule             `json:"toCIDRSet,omitempty"`
	ToEntities     []string               `json:"toEntities,omitempty"`
	ToServices     []Opaque               `json:"toServices,omitempty"`
	ToFQDNs        []FQDN                 `json:"toFQDNs,omitempty"`
	ToGroups       []Opaque               `json:"toGroups,omitempty"`
	ToNodes        []metav1.LabelSelector `json:"toNodes,omitempty"`
	ToPorts        []PortRule             `json:"toPorts,omitempty"`
	ICMPs          []ICMPRule             `json:"icmps,omitempty"`
	Authentication *Authentication        `json:"authentication,omitempty"`
}

// CIDRRule is a CIDR without some parts of it.
type CIDRRule struct {
	CIDR              string                `json:"cidr,omitempty"`
	CIDRGroupRef      string                `json:"cidrGroupRef,omitempty"`
	CIDRGroupSelector *metav1.LabelSelector `json:"cidrGroupSelector,omitempty"`
	Except            []string              `json:"except,omitempty"`
}

// FQDN is a DNS name or a pattern of some.
type FQDN struct {
	MatchName    string `json:"matchName,omitempty"`
	MatchPattern string `json:"matchPattern,omitempty"`
}

// Authentication says how peers have to prove who they are.
type Authentication struct {
	Mode string `json:"mode"`
}

// PortRule matches by destination port, and by what is said there.
type PortRule struct {
	Ports          []PortProtocol `json:"ports,omitempty"`
	Rules          *L7Rules       `json:"rules,omitempty"`
	TerminatingTLS *Opaque        `json:"terminatingTLS,omitempty"`
	OriginatingTLS *Opaque        `json:"originatingTLS,omitempty"`
	ServerNames    []string       `json:"serverNames,omitempty"`
	Listener       *Opaque        `json:"listener,omitempty"`
}

// PortProtocol is a port, a range of ports or the name of one.
type PortProtocol struct {
	Port     string `json:"port,omitempty"`
	EndPort  int32  `json:"endPort,omitempty"`
	Protocol string `json:"protocol,omitempty"`
}

// L7Rules match requests of one protocol.
type L7Rules struct {
	HTTP    []HTTPRule `json:"http,omitempty"`
	Kafka   []Opaque   `json:"kafka,omitempty"`
	DNS     []FQDN     `json:"dns,omitempty"`
	L7Proto string     `json:"l7proto,omitempty"`
	L7      []Opaque   `json:"l7,omitempty"`
}

// HTTPRule matches HTTP requests; path, method and host are regular expressions
// of the whole of each.
type HTTPRule struct {
	Path          string   `json:"path,omitempty"`
	Method        string   `json:"method,omitempty"`
	Host          string   `json:"host,omitempty"`
	Headers       []string `json:"headers,omitempty"`
	HeaderMatches []Opaque `json:"headerMatches,omitempty"`
}

// ICMPRule matches by ICMP types.
type ICMPRule struct {
	Fields []ICMPField `json:"fields,omitempty"`
}

// ICMPField is an ICMP type, by number or by name.
type ICMPField struct {
	Family string              `json:"family,omitempty"`
	Type   *intstr.IntOrString `json:"type"`
}
