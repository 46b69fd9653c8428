package verify

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Report says what was compared and where the two differ.
type Report struct {
	Endpoints   int `json:"endpoints"` // addresses of local endpoints
	Classes     int `json:"classes"`
	Decisions   int `json:"decisions"`
	Differences int `json:"differences"`
	// First are the first differences found, at most MaxDifferences.
	First []Difference `json:"first,omitempty"`
}

// MaxDifferences bounds the differences that a report spells out.
const MaxDifferences = 20

// Difference is one connection on which tables and reference disagree.
type Difference struct {
	Flow      policy.Flow      `json:"flow"`
	Direction policy.Direction `json:"direction"`
	// ToNode says that it is about what the source sends to the node that it is on.
	ToNode    bool            `json:"toNode,omitempty"`
	Kernel    policy.Action   `json:"kernel"`
	Reference policy.Action   `json:"reference"`
	By        *policy.Decider `json:"by,omitempty"` // who decides, by the reference
	// Host is the host endpoint and its hook where it is one that disagrees.
	Host string `json:"host,omitempty"`
	// Link is where a frame of a link was asked about; Guards are those by which the kernel drops it,
	// and which should: empty if none.
	Link   string             `json:"link,omitempty"`
	Guards [2]dataplane.Guard `json:"guards,omitzero"`
	// Structure says what is not as it should be where that is no verdict on a
	// connection; nothing else is set then.
	Structure string `json:"structure,omitempty"`
}

// String says it in one line.
func (d Difference) String() string {
	if d.Structure != "" {
		return d.Structure
	}
	if d.Link != "" {
		return fmt.Sprintf("%s %s: the kernel %s, and should have it %s", FlowText(d.Flow), d.Link, guardText(d.Kernel, d.Guards[0], "lets it pass", "drops it"),
			guardText(d.Reference, d.Guards[1], "pass", "dropped"))
	}
	by := ""
	if d.By != nil {
		by = " by " + dataplane.DeciderText(*d.By)
	}
	where := d.Direction.String()
	if d.ToNode {
		where += " to its own node"
	}
	if d.Host != "" {
		where = "at host endpoint " + d.Host
	}
	return fmt.Sprintf("%s %s: the kernel says %s, policy says %s%s", FlowText(d.Flow), where, d.Kernel, d.Reference, by)
}

// guardText says what becomes of a frame.
func guardText(verdict policy.Action, guard dataplane.Guard, pass, drop string) string {
	switch {
	case verdict != policy.Deny:
		return pass
	case guard == "":
		return drop + " by policy"
	}
	return fmt.Sprintf("%s by guard %s", drop, guard)
}

// Connection returns the flow in words.
func (d Difference) Connection() string { return FlowText(d.Flow) }

// FlowText returns "10.0.0.1:49152 -> 10.0.0.2:80 TCP".
func FlowText(f policy.Flow) string {
	switch {
	case f.Protocol.HasPorts():
		return fmt.Sprintf("%s -> %s %s", netip.AddrPortFrom(f.Src, f.SrcPort), netip.AddrPortFrom(f.Dst, f.DstPort), f.Protocol)
	case f.Protocol.IsICMP():
		return fmt.Sprintf("%s -> %s %s type %d code %d", f.Src, f.Dst, f.Protocol, f.ICMPType, f.ICMPCode)
	}
	return fmt.Sprintf("%s -> %s protocol %s", f.Src, f.Dst, f.Protocol)
}

// differ notes a difference. The caller has the report to itself.
func (r *Report) differ(d Difference) {
	r.Differences++
	if len(r.First) < MaxDifferences {
		r.First = append(r.First, d)
	}
}

// structure notes what is wrong that is no verdict on a connection.
func (r *Report) structure(text string) {
	r.differ(Difference{Structure: text, Kernel: policy.Deny, Reference: policy.Allow})
}
