package analyze

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// Note is what a reader has to know beside the pairs: a [HostsNote],
// [HostNotListedNote], [SeveralHostEndpointsNote], [DomainsNotListedNote] or
// [EphemeralPortsNote]. String is its sentence. In JSON it is an object of its fields, with
// "kind", which tells notes apart, and "text", the sentence.
type Note interface {
	String() string
	MarshalJSON() ([]byte, error)
}

// HostsNote says which connections between hosts and their own pods are not listed.
type HostsNote struct {
	EndpointToHost policy.Action // Allow, Deny or Pass: see policy.HostSettings
	Decided        bool          // policy decides what some pods send to their own host: that is listed
}

// String returns the sentence.
func (n HostsNote) String() string {
	text := "rows of a workload and a host speak of pods on other nodes; a host always reaches its own pods, and " + map[policy.Action]string{
		policy.Allow: "they it (--endpoint-to-host Accept)", policy.Pass: "they it (--endpoint-to-host Return)",
		policy.Deny: "they cannot reach it (--endpoint-to-host Drop)",
	}[n.EndpointToHost]
	if n.Decided {
		text += ", but where policy decides what pods send to their own host: that is listed"
	}
	return text
}

// MarshalJSON returns {"kind": "hosts", "endpointToHost", "decided", "text"}.
func (n HostsNote) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Kind           string `json:"kind"`
		EndpointToHost string `json:"endpointToHost"`
		Decided        bool   `json:"decided"`
		Text           string `json:"text"`
	}{"hosts", n.EndpointToHost.String(), n.Decided, n.String()})
}

// HostNotListedNote says that no address is known by which a host is reached.
type HostNotListedNote struct {
	HostEndpoint string
}

// String returns the sentence.
func (n HostNotListedNote) String() string {
	return fmt.Sprintf("HostEndpoint %s is not listed: no address is known by which its host is reached: give it expectedIPs", n.HostEndpoint)
}

// MarshalJSON returns {"kind": "hostNotListed", "hostEndpoint", "text"}.
func (n HostNotListedNote) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Kind         string `json:"kind"`
		HostEndpoint string `json:"hostEndpoint"`
		Text         string `json:"text"`
	}{"hostNotListed", n.HostEndpoint, n.String()})
}

// SeveralHostEndpointsNote says that pairs of a node's pods hold for one of its interfaces.
type SeveralHostEndpointsNote struct {
	Node          string
	HostEndpoints []string // sorted, two or more
}

// String returns the sentence.
func (n SeveralHostEndpointsNote) String() string {
	return fmt.Sprintf("node %s has the host endpoints %s: what is routed to and from its pods is what one of them says (explain --interface asks another one)",
		n.Node, strings.Join(n.HostEndpoints, ", "))
}

// MarshalJSON returns {"kind": "severalHostEndpoints", "node", "hostEndpoints", "text"}.
func (n SeveralHostEndpointsNote) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Kind          string   `json:"kind"`
		Node          string   `json:"node"`
		HostEndpoints []string `json:"hostEndpoints"`
		Text          string   `json:"text"`
	}{"severalHostEndpoints", n.Node, n.HostEndpoints, n.String()})
}

// DomainsNotListedNote says that domains are not listed for one family.
type DomainsNotListedNote struct {
	Family policy.Family
}

// String returns the sentence.
func (n DomainsNotListedNote) String() string {
	return fmt.Sprintf("domains are not listed for %v: nets of policies and sets leave no address that they do not name, which could stand for those of a domain", n.Family)
}

// MarshalJSON returns {"kind": "domainsNotListed", "family", "text"}, where family is 4 or 6.
func (n DomainsNotListedNote) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Kind   string `json:"kind"`
		Family uint8  `json:"family"`
		Text   string `json:"text"`
	}{"domainsNotListed", uint8(n.Family), n.String()})
}

// EphemeralPortsNote says that rules tell ephemeral source ports apart.
type EphemeralPortsNote struct {
	Port  uint16 // the pairs hold for connections from here
	Other uint16 // the first port from which the answer may be another
}

// String returns the sentence.
func (n EphemeralPortsNote) String() string {
	return fmt.Sprintf("rules tell ephemeral source ports apart: this is the answer for connections from port %d; that of port %d may differ", n.Port, n.Other)
}

// MarshalJSON returns {"kind": "ephemeralPorts", "port", "other", "text"}.
func (n EphemeralPortsNote) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Kind  string `json:"kind"`
		Port  uint16 `json:"port"`
		Other uint16 `json:"other"`
		Text  string `json:"text"`
	}{"ephemeralPorts", n.Port, n.Other, n.String()})
}

// mergeNotes returns the notes of both lists, each once.
func mergeNotes(a, b []Note) []Note {
	merged := slices.Clone(a)
	for _, n := range b {
		if !slices.ContainsFunc(merged, func(m Note) bool { return m.String() == n.String() }) {
			merged = append(merged, n)
		}
	}
	return merged
}
