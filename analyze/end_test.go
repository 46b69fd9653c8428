package analyze_test

import (
	gocmp "cmp"
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/policy"
)

// TestEnds has ends of all kinds in their order, with their texts.
func TestEnds(t *testing.T) {
	addr := netip.MustParseAddr
	web := policy.Key{Kind: "Deployment", Namespace: "shop", Name: "web"}
	host := policy.Key{Kind: policy.KindHostEndpoint, Name: "node-1"}
	ends := []struct {
		end  analyze.End
		text string
	}{
		{analyze.End{Kind: analyze.WorkloadEnd, Key: web}, "shop/Deployment/web"},
		{analyze.End{Kind: analyze.WorkloadEnd, Key: web, Node: "n1"}, "shop/Deployment/web (on n1)"},
		{analyze.End{Kind: analyze.WorkloadEnd, Key: web, First: addr("10.0.0.7"), Last: addr("10.0.0.7")}, "shop/Deployment/web (10.0.0.7)"},
		{analyze.End{Kind: analyze.WorkloadEnd, Key: policy.Key{Kind: "Pod", Namespace: "shop", Name: "a"}}, "shop/Pod/a"},
		{analyze.End{Kind: analyze.HostEnd, Key: host}, "host/node-1"},
		{analyze.End{Kind: analyze.HostEnd, Key: host, First: addr("fd00::1"), Last: addr("fd00::1")}, "host/node-1 (fd00::1)"},
		{analyze.End{Kind: analyze.RangeEnd, First: addr("10.0.0.0"), Last: addr("10.0.0.255")}, "10.0.0.0-10.0.0.255"},
		{analyze.End{Kind: analyze.RangeEnd, First: addr("::"), Last: addr("::ff")}, "::-::ff"},
		{analyze.End{Kind: analyze.DomainsEnd, Domains: analyze.NewDomainNames("a.example", "b.example")}, "domains a.example, b.example"},
		{analyze.End{Kind: analyze.DomainsEnd, Domains: analyze.NewDomainNames("c.example")}, "domain c.example"},
	}
	for i, e := range ends {
		if e.end.String() != e.text {
			t.Errorf("got %q, want %q", e.end, e.text)
		}
		text, err := json.Marshal(&e.end)
		if err != nil || string(text) != `"`+e.text+`"` {
			t.Errorf("JSON of %q: %s, %v", e.text, text, err)
		}
		for j, o := range ends {
			if got := e.end.Compare(&o.end); got != gocmp.Compare(i, j) {
				t.Errorf("%q and %q compare as %d", e.text, o.text, got)
			}
			if (e.end == o.end) != (i == j) {
				t.Errorf("%q == %q: %v", e.text, o.text, e.end == o.end)
			}
		}
	}
	if diff := cmp.Diff([]string{"a", "b"}, analyze.NewDomainNames("a", "b").List()); diff != "" {
		t.Error(diff)
	}
}
