package demo

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/tierwall/tierwall/internal/httppath"
	"github.com/tierwall/tierwall/policy"
)

// Expected is what a scenario promises, as its expected.yaml says it.
type Expected struct {
	Title       string       `json:"title"`
	Connections []Connection `json:"connections"`
	Then        *Change      `json:"then,omitempty"`
}

// Change is a step from one state of the scenario to the next, made while
// connections are open.
type Change struct {
	Why string `json:"why"`
	// Apply holds manifests: objects that are new or replace those of their name.
	Apply string `json:"apply"`
	// Live are connections opened before the change. Those with the verdict
	// Allow go on, those with Deny are cut.
	Live []Connection `json:"live,omitempty"`
	// Connections are made anew after the change.
	Connections []Connection `json:"connections"`
}

// Connection is one connection with the verdict that it must get.
type Connection struct {
	From       string `json:"from"` // NAMESPACE/POD, node/NAME or an address
	To         string `json:"to"`
	Protocol   string `json:"protocol,omitempty"` // TCP if empty
	Port       uint16 `json:"port,omitempty"`     // 0 where the protocol has no ports
	SourcePort uint16 `json:"sourcePort,omitempty"`
	Family     int    `json:"family,omitempty"` // 4 or 6: which address of a pod; 0 is the other end's, or else 4
	Verdict    string `json:"verdict"`          // Allow or Deny
	// HTTP is the request in the connection, whose verdict counts then; nil: the connection's.
	HTTP *Request `json:"http,omitempty"`
	// Egress and Ingress say who decides at each end, as DeciderText puts it; empty: not checked.
	Egress  string `json:"egress,omitempty"`
	Ingress string `json:"ingress,omitempty"`
}

// Request is an HTTP request.
type Request struct {
	Method string `json:"method"`
	Path   string `json:"path"` // as it is sent, with its query
}

// parseExpected reads an expected.yaml. Unknown fields are errors.
func parseExpected(data []byte) (*Expected, error) {
	var e Expected
	if err := yaml.UnmarshalStrict(data, &e); err != nil {
		return nil, err
	}
	var errs []error
	check := func(list string, connections []Connection) {
		for i := range connections {
			if err := connections[i].validate(); err != nil {
				errs = append(errs, fmt.Errorf("%s[%d]: %w", list, i, err))
			}
		}
	}
	if e.Title == "" {
		errs = append(errs, errors.New("title: expected one line that says what the scenario shows"))
	}
	if len(e.Connections) == 0 {
		errs = append(errs, errors.New("connections: expected at least one"))
	}
	check("connections", e.Connections)
	if e.Then != nil {
		if e.Then.Apply == "" {
			errs = append(errs, errors.New("then.apply: expected the manifests that change"))
		}
		check("then.live", e.Then.Live)
		check("then.connections", e.Then.Connections)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &e, nil
}

func (c *Connection) validate() error {
	proto, err := c.protocol()
	switch {
	case err != nil:
		return fmt.Errorf("protocol: %w", err)
	case c.From == "" || c.To == "":
		return errors.New("from, to: expected NAMESPACE/POD, node/NAME or an address")
	case c.Verdict != policy.Allow.String() && c.Verdict != policy.Deny.String():
		return fmt.Errorf("verdict: %q: expected Allow or Deny", c.Verdict)
	case proto.HasPorts() && c.Port == 0:
		return fmt.Errorf("port: %s needs one", proto)
	case !proto.HasPorts() && (c.Port != 0 || c.SourcePort != 0):
		return fmt.Errorf("port: %s has no ports", proto)
	case c.HTTP != nil && (proto != policy.TCP || c.HTTP.Method == "" || !strings.HasPrefix(c.HTTP.Path, "/")):
		return errors.New("http: expected a method, and a path that begins with '/', over TCP")
	case c.Family != 0 && c.Family != 4 && c.Family != 6:
		return fmt.Errorf("family: %d: expected 4 or 6", c.Family)
	}
	return nil
}

func (c *Connection) protocol() (policy.Protocol, error) {
	if c.Protocol == "" {
		return policy.TCP, nil
	}
	return policy.ParseProtocol(c.Protocol)
}

// firstEphemeral stands for every ephemeral source port: no rule of the
// scenarios splits their range.
const firstEphemeral = 49152

// Flow returns the connection's first packet, with the addresses of its ends in
// the model.
func (c *Connection) Flow(m *policy.Model) (policy.Flow, error) {
	proto, err := c.protocol()
	if err != nil {
		return policy.Flow{}, err
	}
	family := policy.Family(c.Family)
	for _, name := range []string{c.From, c.To} { // an address decides the family
		if a, err := netip.ParseAddr(name); err == nil && family == policy.AnyFamily {
			family = policy.FamilyOf(a)
		}
	}
	if family == policy.AnyFamily {
		family = policy.IPv4
	}
	f := policy.Flow{Protocol: proto, DstPort: c.Port, SrcPort: c.SourcePort}
	if f.Src, err = address(m, c.From, family); err != nil {
		return policy.Flow{}, fmt.Errorf("from: %w", err)
	}
	if f.Dst, err = address(m, c.To, family); err != nil {
		return policy.Flow{}, fmt.Errorf("to: %w", err)
	}
	if proto.HasPorts() && f.SrcPort == 0 {
		f.SrcPort = firstEphemeral
	}
	if c.HTTP != nil {
		f.HTTP = &policy.HTTPRequest{Method: c.HTTP.Method}
		f.HTTP.Path, err = httppath.Normalize(c.HTTP.Path)
		if errors.Is(err, httppath.ErrMalformed) {
			return policy.Flow{}, fmt.Errorf("http.path: %w", err)
		}
	}
	if proto == policy.ICMP && family == policy.IPv6 {
		f.Protocol = policy.ICMPv6
	}
	switch f.Protocol { // an echo request
	case policy.ICMP:
		f.ICMPType = 8
	case policy.ICMPv6:
		f.ICMPType = 128
	}
	return f, nil
}

// address finds the address of the family that a name of expected.yaml stands for.
func address(m *policy.Model, name string, family policy.Family) (netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		if policy.FamilyOf(a) != family {
			return netip.Addr{}, fmt.Errorf("%s is not an IPv%d address", a, family)
		}
		return a, nil
	}
	for _, ep := range m.Endpoints {
		if ep.Key.Namespace+"/"+ep.Key.Name == name {
			return ofFamily(name, ep.Addrs, family)
		}
	}
	for _, n := range m.Nodes {
		if "node/"+n.Name == name {
			return ofFamily(name, n.Addrs, family)
		}
	}
	return netip.Addr{}, fmt.Errorf("%s: there is no such pod or node", name)
}

func ofFamily(name string, addrs []netip.Addr, family policy.Family) (netip.Addr, error) {
	for _, a := range addrs {
		if policy.FamilyOf(a) == family {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no IPv%d address", name, family)
}

// NoPolicy is the DeciderText where no policy governs an end of a connection.
const NoPolicy = "no policy"

// DeciderText says who decided one end of a connection: "TIER: [NAMESPACE/]NAME
// rule N", "TIER: end of tier", "profile", "failsafe TCP 22" or
// "no policy".
func DeciderText(d *policy.Decider) string {
	switch {
	case d == nil:
		return NoPolicy
	case d.Kind == policy.KindProfile:
		return "profile"
	case d.Kind == policy.KindFailsafe:
		return "failsafe " + d.Failsafe.String()
	case d.Rule == policy.EndOfTier:
		return d.Tier + ": end of tier"
	}
	name := d.Name
	if d.Namespace != "" {
		name = d.Namespace + "/" + name
	}
	return fmt.Sprintf("%s: %s rule %d", d.Tier, name, d.Rule)
}

// Differences says where a result is not what the connection promises; nil if
// it is.
func (c *Connection) Differences(r policy.Result) []string {
	var diffs []string
	if got := r.Verdict.String(); got != c.Verdict {
		diffs = append(diffs, fmt.Sprintf("verdict %s, expected %s", got, c.Verdict))
	}
	for _, end := range []struct {
		name, want string
		got        policy.Decision
	}{{"egress", c.Egress, r.Egress}, {"ingress", c.Ingress, r.Ingress}} {
		if got := DeciderText(end.got.By); end.want != "" && got != end.want {
			diffs = append(diffs, fmt.Sprintf("%s decided by %q, expected %q", end.name, got, end.want))
		}
	}
	return diffs
}
