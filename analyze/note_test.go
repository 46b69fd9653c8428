package analyze_test

import (
	"encoding/json"
	"testing"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/policy"
)

func TestNotes(t *testing.T) {
	for _, c := range []struct {
		note       analyze.Note
		text, json string // the object without its text
	}{
		{analyze.HostsNote{EndpointToHost: policy.Deny},
			"rows of a workload and a host speak of pods on other nodes; a host always reaches its own pods, and they cannot reach it (--endpoint-to-host Drop)",
			`{"kind":"hosts","endpointToHost":"Deny","decided":false`},
		{analyze.HostsNote{EndpointToHost: policy.Pass},
			"rows of a workload and a host speak of pods on other nodes; a host always reaches its own pods, and they it (--endpoint-to-host Return)",
			`{"kind":"hosts","endpointToHost":"Pass","decided":false`},
		{analyze.HostsNote{EndpointToHost: policy.Allow, Decided: true},
			"rows of a workload and a host speak of pods on other nodes; a host always reaches its own pods, and they it (--endpoint-to-host Accept), but where policy decides what pods send to their own host: that is listed",
			`{"kind":"hosts","endpointToHost":"Allow","decided":true`},
		{analyze.HostNotListedNote{HostEndpoint: "node-1"},
			"HostEndpoint node-1 is not listed: no address is known by which its host is reached: give it expectedIPs",
			`{"kind":"hostNotListed","hostEndpoint":"node-1"`},
		{analyze.SeveralHostEndpointsNote{Node: "n", HostEndpoints: []string{"a", "b"}},
			"node n has the host endpoints a, b: what is routed to and from its pods is what one of them says (explain --interface asks another one)",
			`{"kind":"severalHostEndpoints","node":"n","hostEndpoints":["a","b"]`},
		{analyze.DomainsNotListedNote{Family: policy.IPv6},
			"domains are not listed for IPv6: nets of policies and sets leave no address that they do not name, which could stand for those of a domain",
			`{"kind":"domainsNotListed","family":6`},
		{analyze.EphemeralPortsNote{Port: 49152, Other: 50000},
			"rules tell ephemeral source ports apart: this is the answer for connections from port 49152; that of port 50000 may differ",
			`{"kind":"ephemeralPorts","port":49152,"other":50000`},
	} {
		if got := c.note.String(); got != c.text {
			t.Errorf("got  %q\nwant %q", got, c.text)
		}
		got, err := json.Marshal(c.note)
		if want := c.json + `,"text":"` + c.text + `"}`; err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}
