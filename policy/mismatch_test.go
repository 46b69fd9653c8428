package policy_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// TestMismatch has what the walk of package evaluate does not reach with one flow.
func TestMismatch(t *testing.T) {
	u8 := func(v uint8) *uint8 { return &v }
	tcp := policy.TCP
	var nets []netip.Prefix
	var netTexts []string
	for i := range 7 {
		n := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)
		nets, netTexts = append(nets, n), append(netTexts, n.String())
	}
	ports := &policy.Ports{Ranges: []policy.PortRange{{First: 80, Last: 90}}, Names: []string{"http"}}
	rule := &policy.Rule{
		Family: policy.IPv4, Protocol: &tcp, NotProtocol: &tcp, ICMP: &policy.ICMPMatch{Type: u8(8)}, NotICMP: &policy.ICMPMatch{Type: u8(3), Code: u8(1)},
		HTTP: &policy.HTTPMatch{Methods: []string{"GET", "HEAD"}, Paths: []policy.HTTPPath{{Exact: "/a"}, {Prefix: "/b/"}}},
		Source: policy.Peer{
			Set: &policy.PeerSet{Selector: selector.MustParse("a == 'b'"), AsWritten: policy.NodesPeer{Labels: "a=b"}}, NotSet: &policy.PeerSet{Selector: selector.All()},
			Nets: nets, NotNets: nets[:1], Ports: ports, NotPorts: ports,
		},
	}
	got := policy.Observed{
		Protocol: policy.UDP, ICMPType: 5, ICMPCode: 6, Addr: netip.MustParseAddr("2001:db8::1"), Port: 53,
		HTTP: &policy.HTTPRequest{Method: "POST", Path: "/c"},
	}
	withoutPorts, unclear := got, got
	withoutPorts.Protocol, unclear.HTTP = 47, &policy.HTTPRequest{Method: "GET"}
	for _, c := range []struct {
		criterion policy.Criterion
		side      policy.Side
		got       policy.Observed
		text      string
		want      []string
		sentence  string
	}{
		{policy.CriterionFamily, policy.NoSide, got, "IPv6", []string{"IPv4"}, "IPv6 is not IPv4"},
		{policy.CriterionProtocol, policy.NoSide, got, "UDP", []string{"TCP"}, "protocol UDP is not TCP"},
		{policy.CriterionICMP, policy.NoSide, got, "5/6", []string{"8"}, "ICMP type 5 code 6 is not the rule's"},
		{policy.CriterionNotICMP, policy.NoSide, got, "5/6", []string{"3/1"}, "ICMP type 5 code 6 is excluded"},
		{policy.CriterionSelector, policy.SourceSide, got, "2001:db8::1", []string{"nodes with a=b"}, "source 2001:db8::1 is not in nodes with a=b"},
		{policy.CriterionNotSelector, policy.SourceSide, got, "2001:db8::1", []string{"all()"}, "source 2001:db8::1 is excluded by all()"},
		{
			policy.CriterionNets, policy.SourceSide, got, "2001:db8::1", netTexts,
			"source 2001:db8::1 is not in 10.0.0.0/16, 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, 10.4.0.0/16, … (7 in all)",
		},
		{policy.CriterionNotNets, policy.SourceSide, got, "2001:db8::1", netTexts[:1], "source 2001:db8::1 is excluded by 10.0.0.0/16"},
		{policy.CriterionPorts, policy.SourceSide, got, "53", []string{"80:90", "http"}, "source port 53 is not in 80:90, http"},
		{policy.CriterionPorts, policy.SourceSide, withoutPorts, "47", []string{"80:90", "http"}, "protocol 47 has no source port"},
		{policy.CriterionNotPorts, policy.SourceSide, got, "53", []string{"80:90", "http"}, "source port 53 is excluded by 80:90, http"},
		{policy.CriterionHTTPMethods, policy.NoSide, got, "POST", []string{"GET", "HEAD"}, "HTTP method POST is not GET, HEAD"},
		{policy.CriterionHTTPPaths, policy.NoSide, got, "/c", []string{"/a", "/b/..."}, "HTTP path /c is not /a, /b/..."},
		{policy.CriterionHTTPPaths, policy.NoSide, unclear, "", []string{"/a", "/b/..."}, "the HTTP path can be read in several ways"},
	} {
		m := policy.Mismatch{Criterion: c.criterion, Side: c.side, Got: c.got, Want: rule}
		if diff := cmp.Diff([]string{c.text, fmt.Sprint(c.want), c.sentence}, []string{m.GotText(), fmt.Sprint(m.WantTexts()), m.String()}); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.criterion, diff)
		}
	}
}
