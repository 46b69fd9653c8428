package v3

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Action is what a rule does with a connection that it matches.
//
// +kubebuilder:validation:Enum=Allow;Deny;Log;Pass
type Action string

// The actions of rules; a tier's default action is Deny or Pass.
const (
	Allow Action = "Allow"
	Deny  Action = "Deny"
	Log   Action = "Log"
	Pass  Action = "Pass"
)

// PolicyType is a direction that a policy governs.
//
// +kubebuilder:validation:Enum=Ingress;Egress
type PolicyType string

// The directions.
const (
	PolicyTypeIngress PolicyType = "Ingress"
	PolicyTypeEgress  PolicyType = "Egress"
)

// StagedAction says what a staged policy stands for.
//
// +kubebuilder:validation:Enum=Set;Delete;Learn;Ignore
type StagedAction string

// The staged actions; the default is Set.
const (
	StagedActionSet    StagedAction = "Set"
	StagedActionDelete StagedAction = "Delete"
	StagedActionLearn  StagedAction = "Learn"
	StagedActionIgnore StagedAction = "Ignore"
)

// PolicyPerformanceHint is a hint that never changes what a policy decides.
//
// +kubebuilder:validation:Enum=AssumeNeededOnEveryNode
type PolicyPerformanceHint string

// AssumeNeededOnEveryNode asks for the policy to be prepared on nodes where it
// applies to nothing yet.
const AssumeNeededOnEveryNode PolicyPerformanceHint = "AssumeNeededOnEveryNode"

// Protocol is an IP protocol as manifests write it: "TCP", "UDP", "ICMP",
// "ICMPv6", "SCTP", "UDPLite", or a number from 1 to 255, here in decimal.
// In JSON a number is a number; "6" in quotes is accepted as well.
//
// +kubebuilder:validation:XIntOrString
// +tierwall:schema=`{"type":"","anyOf":[{"type":"integer"},{"type":"string"}],"minimum":1,"maximum":255}`
// +kubebuilder:validation:Pattern=`^(TCP|UDP|ICMP|ICMPv6|SCTP|UDPLite|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$`
type Protocol string

// UnmarshalJSON accepts a string or an integer.
func (p *Protocol) UnmarshalJSON(data []byte) error {
	s, err := intOrString(data, "a protocol name such as TCP, or a number from 1 to 255")
	*p = Protocol(s)
	return err
}

// MarshalJSON writes numbers as numbers and names as strings.
func (p Protocol) MarshalJSON() ([]byte, error) { return marshalIntOrString(string(p)) }

// Port is a port, a range or the name of a port as manifests write it: "80",
// "8000:8080" (both ends included) or "http". In JSON a number is a number; "80"
// in quotes is accepted as well.
//
// That a range does not end before it begins is not said by the schema.
//
// +kubebuilder:validation:XIntOrString
// +tierwall:schema=`{"type":"","anyOf":[{"type":"integer"},{"type":"string"}],"minimum":1,"maximum":65535}`
// +kubebuilder:validation:Pattern=`^(0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])(:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?|[0-9]*([a-zA-Z_.][a-zA-Z0-9_.-]*|-([0-9]*[a-zA-Z_.-][a-zA-Z0-9_.-]*)?))$`
// +kubebuilder:validation:MaxLength=128
type Port string

// UnmarshalJSON accepts a string or an integer.
func (p *Port) UnmarshalJSON(data []byte) error {
	s, err := intOrString(data, `a port number, a range such as "8000:8080", or a port's name`)
	*p = Port(s)
	return err
}

// MarshalJSON writes numbers as numbers, ranges and names as strings.
func (p Port) MarshalJSON() ([]byte, error) { return marshalIntOrString(string(p)) }

// intOrString returns the text of a JSON string or integer.
func intOrString(data []byte, expected string) (string, error) {
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return "", err
		}
		return s, nil
	}
	var n int64
	if err := json.Unmarshal(data, &n); err != nil {
		return "", fmt.Errorf("%s: expected %s", data, expected)
	}
	return strconv.FormatInt(n, 10), nil
}

func marshalIntOrString(s string) ([]byte, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.AppendInt(nil, n, 10), nil
	}
	return json.Marshal(s)
}
