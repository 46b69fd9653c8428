package agentcmd

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/agent/antispoof"
	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/verify"
	"github.com/tierwall/tierwall/policy"
)

// findings are two reasons, of which one pod has both.
func findings() []enforceable.Finding {
	a, b := policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "a"}, policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "b"}
	return []enforceable.Finding{
		{Reason: enforceable.Reason{Cause: enforceable.BridgeBypass, Subject: "cni0", Family: 4}, Endpoints: []policy.Key{a, b}},
		{Reason: enforceable.Reason{Cause: enforceable.Redirect, Subject: "veth1"}, Endpoints: []policy.Key{a}},
	}
}

// statusOf runs "agent status" against an agent that says this.
func statusOf(t *testing.T, st *agent.Status, args ...string) (out string, code int) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(st) }))
	defer server.Close()
	cmd := newStatusCommand()
	var b bytes.Buffer
	cmd.SetOut(&b)
	cmd.SetArgs(append([]string{"--metrics-addr", server.Listener.Addr().String()}, args...))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return b.String(), command.ExitCode(err)
}

// TestStatusNotEnforceable: the header says so, who and why follow, and the exit code is 1.
func TestStatusNotEnforceable(t *testing.T) {
	st := &agent.Status{Node: "n1", Ready: true, LocalEndpoints: 3, Endpoints: []agent.EndpointStatus{
		{Kind: "Pod", Namespace: "shop", Name: "a", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Interface: "veth1", Bridge: "cni0"},
	}}
	if out, code := statusOf(t, st); code != 0 || !strings.Contains(out, "in force") {
		t.Errorf("all in force: %d\n%s", code, out)
	}
	two := 2
	st.NotEnforceableEndpoints, st.NotEnforceable = 2, agent.DescribeNotEnforceable(findings())
	for _, f := range findings() {
		st.NotEnforced = append(st.NotEnforced, f.String())
	}
	st.Endpoints[0].NotEnforceable = "BridgeBypass"
	st.Objects = []agent.ObjectStatus{{Kind: "NetworkPolicy", Namespace: "shop", Name: "db", State: "in force", LocalEndpoints: &two, NotEnforceable: 1}}
	st.Spoofing = []antispoof.Spoofing{{Interface: "up0", Endpoint: "shop/c", Packets: 120, Sources: 40, Examples: []netip.Addr{netip.MustParseAddr("192.0.2.9")}}}
	out, code := statusOf(t, st)
	if code != command.ExitNo {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"not enforceable here for 2 of 3 endpoints",
		"IPv4 packets between pods on bridge cni0 bypass policy: load the kernel module br_netfilter and set net.bridge.bridge-nf-call-iptables=1",
		"traffic control at veth1 sends packets of the pod elsewhere, past the host's hooks: remove the filter (tc filter show dev veth1 ingress)",
		"veth1 (bridge cni0) (not enforceable: BridgeBypass)",
		"2 (1 not enforceable)",
		"120 packets of 40 sources (192.0.2.9, ...) that came in by interface up0 were dropped: it is taken for that of shop/c alone",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "policy           in force") {
		t.Errorf("it says in force:\n%s", out)
	}
	var shown agent.Status
	out, code = statusOf(t, st, "-o", "json")
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != command.ExitNo {
		t.Fatalf("%d, %v\n%s", code, err, out)
	}
	if diff := cmp.Diff(st.NotEnforceable, shown.NotEnforceable); diff != "" || shown.NotEnforceableEndpoints != 2 {
		t.Errorf("as JSON: %d (-want +got):\n%s", shown.NotEnforceableEndpoints, diff)
	}
}

// TestVerifyNotEnforceable: that the kernel agrees is not all.
func TestVerifyNotEnforceable(t *testing.T) {
	r := &agent.Verified{Report: &verify.Report{Endpoints: 2, Classes: 3, Decisions: 4}, NotEnforceable: findings()}
	var b bytes.Buffer
	if err := printVerified(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the kernel decides all of them as policy says.\n",
		"not enforceable here for 2 endpoints: IPv4 packets between pods on bridge cni0 bypass policy",
		"not enforceable here for 1 endpoint: traffic control at veth1",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := printVerifiedJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Agree          bool
		NotEnforceable []agent.NotEnforceableStatus
	}
	if err := json.Unmarshal(b.Bytes(), &shown); err != nil || !shown.Agree {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if diff := cmp.Diff(agent.DescribeNotEnforceable(findings()), shown.NotEnforceable); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
