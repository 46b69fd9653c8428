package agent

import (
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/extauthz"
)

// TestAnswersProxies checks that requests are judged by the policy of the store,
// as it is at present.
func TestAnswersProxies(t *testing.T) {
	rule := func(path string) string {
		return `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: http, namespace: shop}
spec:
  ingress:
  - {action: Allow, protocol: TCP, http: {methods: [GET], paths: [{exact: ` + path + `}]}}
`
	}
	socket := filepath.Join(t.TempDir(), "authz.sock")
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": rule("/a")},
		func(c *Config, _ *faults) { c.ExtAuthz = &extauthz.Config{Address: "unix:" + socket, Group: -1} })
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := authv3.NewAuthorizationClient(conn)
	peer := func(addr string) *authv3.AttributeContext_Peer {
		return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: addr, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 5432},
		}}}}
	}
	allowed := func(path string) bool {
		res, err := client.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Source: peer("10.0.0.2"), Destination: peer("10.0.0.1"),
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: "GET", Path: path}},
		}})
		return err == nil && res.GetOkResponse() != nil
	}
	r.eventually("a request is allowed", func() bool { return allowed("/a") })
	if allowed("/b") {
		t.Error("another request is allowed")
	}
	r.write("policy.yaml", rule("/b"))
	r.eventually("the change is in force", func() bool { return allowed("/b") && !allowed("/a") })
	if st := r.status().ExtAuthz; st == nil || st.Allowed == 0 || st.Denied == 0 || st.Address != "unix:"+socket {
		t.Errorf("status says %+v", st)
	}
	_, m := r.get("/metrics")
	for _, want := range []string{
		`tierwall_ext_authz_requests_total{verdict="deny"}`, `tierwall_ext_authz_refused_total{reason="unknown-destination"} 0`,
		"tierwall_ext_authz_unreadable_total 0", "tierwall_ext_authz_connections 1", `tierwall_ext_authz_decision_seconds_bucket{le="+Inf"}`,
	} {
		if !strings.Contains(m, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
