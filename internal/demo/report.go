package demo

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// Report is what became of a demo.
type Report struct {
	Agree     bool              `json:"agree"`
	Scenarios []*ScenarioReport `json:"scenarios"`
	Took      Seconds           `json:"seconds"`

	stage *stage // the one standing, if any
}

// Lab returns the lab that was kept, nil if none was.
func (r *Report) Lab() *lab.Lab {
	if r.stage == nil {
		return nil
	}
	return r.stage.lab
}

// Close takes the lab down that still stands, if any. Calling it again does nothing.
func (r *Report) Close() error {
	if r.stage == nil {
		return nil
	}
	st := r.stage
	r.stage = nil
	return st.close()
}

// ScenarioReport is what became of one scenario.
type ScenarioReport struct {
	Name  string  `json:"name"`
	Title string  `json:"title"`
	Agree bool    `json:"agree"`
	Steps []*Step `json:"steps"`
	Took  Seconds `json:"seconds"`
}

// Step is one state of a scenario: as it is loaded, or after its change.
type Step struct {
	Why  string `json:"why,omitempty"` // what changed; empty for the first step
	Live []*Row `json:"live,omitempty"`
	Rows []*Row `json:"connections"`
}

// Row is one connection with the three answers.
type Row struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Protocol   string `json:"protocol"`
	Port       uint16 `json:"port,omitempty"`
	SourcePort uint16 `json:"sourcePort,omitempty"`
	Family     int    `json:"family"`
	// HTTP is the request in the connection, if it is one that is judged.
	HTTP *Request `json:"http,omitempty"`

	Expected string `json:"expected"` // Allow or Deny, by expected.yaml
	Policy   string `json:"policy"`   // Allow or Deny, by package evaluate
	Egress   string `json:"egress"`   // who decided at each end (DeciderText)
	Ingress  string `json:"ingress"`
	Kernel   string `json:"kernel"` // Allow or Deny, or Failed: it says nothing
	Detail   string `json:"detail"` // how the packets fared, in words

	Differs []string `json:"differs,omitempty"` // where the answers differ
	Agree   bool     `json:"agree"`

	connection Connection
	flow       policy.Flow
	live       bool
	// host is who denies at a host endpoint on the way; empty if none does.
	host string
	// egressDenies says that the source's end denies.
	egressDenies bool
}

// failed stands where the kernel gave no answer that could be told apart from
// an accident.
const failed = "Failed"

// Seconds is a duration that is written in JSON as seconds.
type Seconds time.Duration

// MarshalJSON returns seconds with three decimals.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', 3, 64), nil
}

// newRow makes the row of a connection with what evaluate says of it.
func newRow(c Connection, f policy.Flow, r policy.Result, live bool) *Row {
	row := &Row{
		From: c.From, To: c.To, Protocol: f.Protocol.String(), Port: c.Port, SourcePort: c.SourcePort,
		Family: int(policy.FamilyOf(f.Dst)), Expected: c.Verdict, HTTP: c.HTTP, connection: c, flow: f, live: live,
	}
	row.judge(r)
	return row
}

// judge takes in what evaluate says.
func (r *Row) judge(res policy.Result) {
	r.Policy = res.Verdict.String()
	r.Egress, r.Ingress = DeciderText(res.Egress.By), DeciderText(res.Ingress.By)
	r.egressDenies = res.Egress.Verdict == policy.Deny
	r.host = ""
	for _, h := range res.Hosts {
		if h.Verdict == policy.Deny {
			r.host = h.Endpoint.Name + ": " + DeciderText(h.By)
		}
	}
	r.Differs = nil
	for _, diff := range r.connection.Differences(res) {
		r.Differs = append(r.Differs, "policy: "+diff)
	}
}

// settle takes in what the kernel did and closes the row.
func (r *Row) settle(kernel, detail string) {
	r.Kernel, r.Detail = kernel, detail
	if kernel != r.Policy {
		r.Differs = append(r.Differs, fmt.Sprintf("kernel: %s, policy says %s (%s)", kernel, r.Policy, detail))
	}
	r.Agree = len(r.Differs) == 0
}

// Live reports whether the connection was open before the step's change.
func (r *Row) Live() bool { return r.live }

// Service names protocol and ports: "TCP 80", "TCP 80 from port 5432", "ICMP".
func (r *Row) Service() string {
	s := r.Protocol
	if r.Port != 0 {
		s += " " + strconv.Itoa(int(r.Port))
	}
	if r.SourcePort != 0 {
		s += fmt.Sprintf(" from port %d", r.SourcePort)
	}
	if r.Family == 6 && !strings.Contains(r.From+r.To, ":") && r.Protocol != policy.ICMPv6.String() {
		s += " (IPv6)"
	}
	if r.HTTP != nil {
		s += " " + r.HTTP.Method + " " + r.HTTP.Path
	}
	return s
}

// DecidedBy names the end that decided and who did it there: the end that
// denies; of a connection that both ends allow, the destination if policy
// governs it.
func (r *Row) DecidedBy() string {
	out, in := "out  "+r.Egress, "in   "+r.Ingress
	switch {
	case r.host != "" && !r.egressDenies:
		return "host " + r.host
	case r.Egress == NoPolicy && r.Ingress == NoPolicy:
		return NoPolicy
	case r.Ingress == NoPolicy, r.egressDenies:
		return out
	}
	return in
}

// Count returns the number of rows and how many of them disagree.
func (r *Report) Count() (rows, differing int) {
	for _, s := range r.Scenarios {
		for _, row := range s.rows() {
			rows++
			if !row.Agree {
				differing++
			}
		}
	}
	return rows, differing
}

// Examples returns a TCP connection that the last scenario's policy allows now,
// and one that it denies, where there are such: to try by hand.
func (r *Report) Examples() []*Row {
	var examples []*Row
	for _, verdict := range []policy.Action{policy.Allow, policy.Deny} {
		last := r.Scenarios[len(r.Scenarios)-1]
		rows := last.Steps[len(last.Steps)-1].Rows
		i := slices.IndexFunc(rows, func(row *Row) bool {
			return row.Policy == verdict.String() && row.flow.Protocol == policy.TCP && row.SourcePort == 0 && row.HTTP == nil
		})
		if i >= 0 {
			examples = append(examples, rows[i])
		}
	}
	return examples
}

// Source returns the address that the connection comes from.
func (r *Row) Source() netip.Addr { return r.flow.Src }

// Target returns the address and port that it goes to.
func (r *Row) Target() netip.AddrPort { return netip.AddrPortFrom(r.flow.Dst, r.flow.DstPort) }

// rows lists all rows of a scenario in the order in which they are shown.
func (s *ScenarioReport) rows() []*Row {
	var rows []*Row
	for _, step := range s.Steps {
		rows = append(append(rows, step.Live...), step.Rows...)
	}
	return rows
}
