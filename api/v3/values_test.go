package v3_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	v3 "github.com/tierwall/tierwall/api/v3"
)

// TestRuleJSON reads a rule with all kinds of values and writes it again.
func TestRuleJSON(t *testing.T) {
	const text = `{"action":"Allow","ipVersion":4,"protocol":"TCP","notProtocol":47,` +
		`"source":{"nets":["10.0.0.0/8"],"notPorts":["1:5","http"]},` +
		`"destination":{"selector":"all()","ports":[80,8080]},` +
		`"metadata":{"annotations":{"a":"b"}}}`
	var r v3.Rule
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	want := v3.Rule{
		Action: v3.Allow, IPVersion: new(4), Protocol: new(v3.Protocol("TCP")), NotProtocol: new(v3.Protocol("47")),
		Source:      v3.EntityRule{Nets: []string{"10.0.0.0/8"}, NotPorts: []v3.Port{"1:5", "http"}},
		Destination: v3.EntityRule{Selector: "all()", Ports: []v3.Port{"80", "8080"}},
		Metadata:    &v3.RuleMetadata{Annotations: map[string]string{"a": "b"}},
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Errorf("read (-want +got):\n%s", d)
	}
	back, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(text, string(back)); d != "" {
		t.Errorf("written (-want +got):\n%s", d)
	}
}

func TestValuesJSON(t *testing.T) {
	for _, tt := range []struct{ in, port, back string }{
		{`80`, "80", `80`},
		{`"80"`, "80", `80`},
		{`"80:90"`, "80:90", `"80:90"`},
		{`"http"`, "http", `"http"`},
		{`-1`, "-1", `-1`},
	} {
		var p v3.Port
		if err := json.Unmarshal([]byte(tt.in), &p); err != nil || string(p) != tt.port {
			t.Errorf("%s is read as %q, %v; want %q", tt.in, p, err, tt.port)
		}
		if back, err := json.Marshal(p); err != nil || string(back) != tt.back {
			t.Errorf("%q is written as %s, %v; want %s", p, back, err, tt.back)
		}
	}
	for _, bad := range []string{`8.5`, `true`, `[]`, `{}`} {
		var protocol v3.Protocol
		if err := json.Unmarshal([]byte(bad), &protocol); err == nil {
			t.Errorf("%s is read as protocol %q", bad, protocol)
		}
	}
}

// Policies can be written in Go and given to an API server.
func Example() {
	order := 100.0
	policy := v3.NetworkPolicySpec{
		Tier:     "application",
		Order:    &order,
		Selector: "app == 'db'",
		Ingress: []v3.Rule{{
			Action:      v3.Allow,
			Protocol:    new(v3.Protocol("TCP")),
			Source:      v3.EntityRule{Selector: "app == 'web'"},
			Destination: v3.EntityRule{Ports: []v3.Port{"5432", "6000:6010"}},
		}},
	}
	text, err := json.Marshal(policy)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(text))
	// Output:
	// {"tier":"application","order":100,"ingress":[{"action":"Allow","protocol":"TCP","source":{"selector":"app == 'web'"},"destination":{"ports":[5432,"6000:6010"]}}],"selector":"app == 'db'"}
}
