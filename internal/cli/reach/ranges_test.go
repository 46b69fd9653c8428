package reach

import (
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/analyze"
)

func TestAddressesText(t *testing.T) {
	for _, tt := range []struct {
		ranges []string
		want   string
	}{
		{[]string{"0.0.0.0", "255.255.255.255"}, "0.0.0.0/0"},
		{[]string{"10.0.0.0", "10.0.0.255"}, "10.0.0.0/24"},
		{[]string{"192.0.2.1", "192.0.2.1"}, "192.0.2.1/32"},
		{[]string{"192.0.2.2", "255.255.255.255", "0.0.0.0", "192.0.2.0", "192.0.2.1", "192.0.2.1"}, "0.0.0.0/0"},
		{[]string{"0.0.0.0", "9.255.255.255", "11.0.0.0", "255.255.255.255"}, "0.0.0.0/0 but 10.0.0.0/8"},
		{[]string{"192.0.2.1", "192.0.2.2"}, "192.0.2.1/32, 192.0.2.2/32"},
		{[]string{"10.0.0.1", "10.0.0.254"}, "10.0.0.1/32, 10.0.0.2/31, 10.0.0.4/30, 10.0.0.8/29, 10.0.0.16/28, 10.0.0.32/27, and 8 more"},
		{[]string{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, "::/0"},
		{[]string{"::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, "::/0 but 2001:db8::/32"},
	} {
		var ranges []analyze.End
		for i := 0; i < len(tt.ranges); i += 2 {
			ranges = append(ranges, analyze.End{Kind: analyze.RangeEnd, First: netip.MustParseAddr(tt.ranges[i]), Last: netip.MustParseAddr(tt.ranges[i+1])})
		}
		if got := addressesText(ranges); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.ranges, got, tt.want)
		}
	}
}
