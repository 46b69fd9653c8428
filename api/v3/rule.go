package v3

// Rule matches a connection if all of its criteria do, and then acts. A
// criterion that is left out matches everything.
//
// That all CIDRs are of one family, that of ipVersion if it is given, is said as
// a plain schema: an expression over lists of unknown length costs more than an
// API server grants. So is that ports are names where the rule has no protocol; of the first port an
// expression says so too, in words.
//
// +tierwall:schema=`{"allOf":[{"anyOf":[{"properties":{"ipVersion":{"enum":[4]},"source":{"properties":{"nets":{"items":{"pattern":"^[0-9./]*$"}},"notNets":{"items":{"pattern":"^[0-9./]*$"}}}},"destination":{"properties":{"nets":{"items":{"pattern":"^[0-9./]*$"}},"notNets":{"items":{"pattern":"^[0-9./]*$"}}}}}},{"properties":{"ipVersion":{"enum":[6]},"source":{"properties":{"nets":{"items":{"pattern":":"}},"notNets":{"items":{"pattern":":"}}}},"destination":{"properties":{"nets":{"items":{"pattern":":"}},"notNets":{"items":{"pattern":":"}}}}}}]},{"anyOf":[{"required":["protocol"]},{"properties":{"source":{"properties":{"ports":{"items":{"maximum":0,"pattern":"[A-Za-z_.-]"}},"notPorts":{"items":{"maximum":0,"pattern":"[A-Za-z_.-]"}}}},"destination":{"properties":{"ports":{"items":{"maximum":0,"pattern":"[A-Za-z_.-]"}},"notPorts":{"items":{"maximum":0,"pattern":"[A-Za-z_.-]"}}}}}}]}]}`
// +kubebuilder:validation:XValidation:rule="!has(self.http) || self.action == 'Allow'",message="http is for Allow rules only",fieldPath=".http",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.http) || !has(self.protocol) || self.protocol == 'TCP' || self.protocol == 6 || self.protocol == '6'",message="http needs protocol: TCP, or none",fieldPath=".http",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="(!has(self.icmp) && !has(self.notICMP)) || (has(self.protocol) && (self.protocol == 'ICMP' || self.protocol == 'ICMPv6' || self.protocol == 1 || self.protocol == 58 || self.protocol == '1' || self.protocol == '58'))",message="icmp and notICMP need protocol: ICMP or ICMPv6"
// +kubebuilder:validation:XValidation:rule="!has(self.ipVersion) || ((!has(self.protocol) || (self.ipVersion == 4 ? self.protocol != 'ICMPv6' && self.protocol != 58 && self.protocol != '58' : self.protocol != 'ICMP' && self.protocol != 1 && self.protocol != '1')) && (!has(self.notProtocol) || (self.ipVersion == 4 ? self.notProtocol != 'ICMPv6' && self.notProtocol != 58 && self.notProtocol != '58' : self.notProtocol != 'ICMP' && self.notProtocol != 1 && self.notProtocol != '1')))",message="ICMP is a protocol of IPv4 and ICMPv6 of IPv6, but ipVersion is the other one",fieldPath=".ipVersion"
// +kubebuilder:validation:XValidation:rule="!has(self.source) || ((!has(self.source.ports) || size(self.source.ports) == 0) && (!has(self.source.notPorts) || size(self.source.notPorts) == 0)) || (!has(self.protocol) ? !(has(self.source.ports) && size(self.source.ports) > 0 && type(self.source.ports[0]) == int) && !(has(self.source.notPorts) && size(self.source.notPorts) > 0 && type(self.source.notPorts[0]) == int) : self.protocol == 'TCP' || self.protocol == 'UDP' || self.protocol == 'SCTP' || self.protocol == 6 || self.protocol == 17 || self.protocol == 132 || self.protocol == '6' || self.protocol == '17' || self.protocol == '132')",message="ports and notPorts need protocol: TCP, UDP or SCTP",fieldPath=".source"
// +kubebuilder:validation:XValidation:rule="!has(self.destination) || ((!has(self.destination.ports) || size(self.destination.ports) == 0) && (!has(self.destination.notPorts) || size(self.destination.notPorts) == 0)) || (!has(self.protocol) ? !(has(self.destination.ports) && size(self.destination.ports) > 0 && type(self.destination.ports[0]) == int) && !(has(self.destination.notPorts) && size(self.destination.notPorts) > 0 && type(self.destination.notPorts[0]) == int) : self.protocol == 'TCP' || self.protocol == 'UDP' || self.protocol == 'SCTP' || self.protocol == 6 || self.protocol == 17 || self.protocol == 132 || self.protocol == '6' || self.protocol == '17' || self.protocol == '132')",message="ports and notPorts need protocol: TCP, UDP or SCTP",fieldPath=".destination"
// +kubebuilder:validation:XValidation:rule="!has(self.source) || !has(self.source.domains) || size(self.source.domains) == 0",message="domains are for the destination of egress rules only",fieldPath=".source",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="self.action == 'Allow' || !has(self.destination) || !has(self.destination.domains) || size(self.destination.domains) == 0",message="domains are for Allow rules only",fieldPath=".destination",reason=FieldValueForbidden
type Rule struct {
	// Action is what the rule does: Allow and Deny decide, Pass goes on with the
	// next tier, Log records and goes on with the next rule.
	Action Action `json:"action"`

	// IPVersion is the version that the rule matches; left out, it matches both.
	// +kubebuilder:validation:Enum=4;6
	// +optional
	IPVersion *int `json:"ipVersion,omitempty"`

	// Protocol that the connection must have. Needed for icmp, and for ports that are no names.
	// +optional
	Protocol *Protocol `json:"protocol,omitempty"`
	// NotProtocol is the protocol that the connection must not have.
	// +optional
	NotProtocol *Protocol `json:"notProtocol,omitempty"`

	// ICMP is the type and code that the packet must have.
	// +optional
	ICMP *ICMPFields `json:"icmp,omitempty"`
	// NotICMP is the type and code that the packet must not have.
	// +optional
	NotICMP *ICMPFields `json:"notICMP,omitempty"`

	// Source is what the rule demands of the connection's source.
	// +optional
	Source EntityRule `json:"source,omitzero"`
	// Destination is what the rule demands of the connection's destination.
	// +optional
	Destination EntityRule `json:"destination,omitzero"`

	// HTTP is what the rule demands of the HTTP requests in the connection.
	// +optional
	HTTP *HTTPMatch `json:"http,omitempty"`

	// Metadata is for people and tools; it decides nothing.
	// +optional
	Metadata *RuleMetadata `json:"metadata,omitempty"`
}

// EntityRule is what a rule demands of one side of a connection.
type EntityRule struct {
	// Nets holds CIDRs; the address is in one of them. All CIDRs of a rule are of
	// one IP version.
	// +listType=atomic
	// +kubebuilder:validation:items:Format=cidr
	// +optional
	Nets []string `json:"nets,omitempty"`
	// NotNets holds CIDRs; the address is in none of them.
	// +listType=atomic
	// +tierwall:schema=`{"items":{"type":"string","format":"cidr","pattern":"/[0-9]*[1-9][0-9]*$"}}`
	// +optional
	NotNets []string `json:"notNets,omitempty"`

	// Selector matches endpoints and network sets by their labels; the address is
	// one of theirs. In a namespaced policy they are those of its namespace,
	// unless NamespaceSelector says otherwise.
	// +optional
	Selector string `json:"selector,omitempty"`
	// NotSelector matches endpoints and network sets, of any namespace; the
	// address is none of theirs.
	// +optional
	NotSelector string `json:"notSelector,omitempty"`
	// NamespaceSelector matches namespaces by their labels: the endpoint or
	// network set is in one of them. all() is any namespace, global() (which
	// stands alone) is none: global network sets and host endpoints.
	// +optional
	NamespaceSelector string `json:"namespaceSelector,omitempty"`

	// Ports holds the ports of which the connection's port on this side is one.
	// +listType=atomic
	// +optional
	Ports []Port `json:"ports,omitempty"`
	// NotPorts holds the ports of which the connection's port on this side is none.
	// +listType=atomic
	// +optional
	NotPorts []Port `json:"notPorts,omitempty"`

	// ServiceAccounts are those that the pod on this side runs as.
	// +optional
	ServiceAccounts *ServiceAccountMatch `json:"serviceAccounts,omitempty"`
	// Services is the Kubernetes service whose endpoints are on this side.
	// +optional
	Services *ServiceMatch `json:"services,omitempty"`
	// Domains holds DNS names, exact or with a leading "*.", that the address was
	// resolved from. For the destination of Allow rules for egress only.
	// +listType=atomic
	// +kubebuilder:validation:items:MaxLength=254
	// +kubebuilder:validation:items:Pattern=`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$`
	// +optional
	Domains []string `json:"domains,omitempty"`
}

// ServiceAccountMatch matches service accounts by name and by label; both must
// match where both are given. Without either it is no criterion.
type ServiceAccountMatch struct {
	// Names of service accounts, one of which it is.
	// +listType=atomic
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	// +optional
	Names []string `json:"names,omitempty"`
	// Selector matches the service account's labels.
	// +optional
	Selector string `json:"selector,omitempty"`
}

// ServiceMatch names one Kubernetes service.
type ServiceMatch struct {
	// Name of the service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// Namespace of the service; left out, it is the policy's. A global policy must say it.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// ICMPFields is an ICMP type, or a type and a code.
//
// +kubebuilder:validation:XValidation:rule="!has(self.code) || has(self.type)",message="code needs a type as well"
type ICMPFields struct {
	// Type of the ICMP message.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=254
	// +optional
	Type *int `json:"type,omitempty"`
	// Code of the ICMP message; it needs Type.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=255
	// +optional
	Code *int `json:"code,omitempty"`
}

// HTTPMatch matches an HTTP request by method and by path; both must match where
// both are given.
type HTTPMatch struct {
	// Methods of which the request has one; "*" is any.
	// +listType=atomic
	// +kubebuilder:validation:items:Pattern=`^(\*|[A-Za-z][A-Za-z0-9._-]*)$`
	// +optional
	Methods []string `json:"methods,omitempty"`
	// Paths of which the request has one.
	// +listType=atomic
	// +optional
	Paths []HTTPPath `json:"paths,omitempty"`
}

// HTTPPath is a whole path or the start of one.
//
// +kubebuilder:validation:XValidation:rule="has(self.exact) != has(self.prefix)",message="expected either exact or prefix"
type HTTPPath struct {
	// Exact is the whole path.
	// +kubebuilder:validation:Pattern=`^/`
	// +optional
	Exact string `json:"exact,omitempty"`
	// Prefix is the start of the path, up to the end of a segment.
	// +kubebuilder:validation:Pattern=`^/`
	// +optional
	Prefix string `json:"prefix,omitempty"`
}

// RuleMetadata is what people and tools note at a rule.
type RuleMetadata struct {
	// Annotations are keys with values; they decide nothing.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}
