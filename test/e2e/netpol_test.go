package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// netpolTests is how many tests of network policy this version of Kubernetes has. Fewer means
// that some were not run.
const netpolTests = 50

// TestNetpol runs the upstream suite for NetworkPolicy: TCP, UDP and SCTP.
func TestNetpol(t *testing.T) {
	for _, setup := range []struct {
		name    string
		options cluster.Options
	}{
		{"nftables", cluster.Options{Nodes: 2}},
		{"iptables", cluster.Options{Nodes: 2, ProxyMode: cluster.IPTables}},
		{"dual-stack", cluster.Options{Nodes: 3, DualStack: true}},
		{"bridge", cluster.Options{Nodes: 2, Bridge: true}},
	} {
		t.Run(setup.name, func(t *testing.T) {
			c := cluster.Shared(t, setup.options)
			stage.Install(t, c, stage.Dev)
			runNetpol(t, c)
		})
	}
}

func runNetpol(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	log, err := os.Create(filepath.Join(c.Logs(), "netpol.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	result, err := c.RunSuite(ctx, cluster.Suite{Focus: "Netpol", Output: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s\n%.0f s in all; the log is %s", result.Closing, result.Took.Seconds(), log.Name())
	for _, f := range result.Failures {
		t.Errorf("%s: %s", f.Name, f.Message)
	}
	if result.Passed != netpolTests || result.Failed != 0 {
		t.Errorf("%d tests passed and %d failed, %d must pass", result.Passed, result.Failed, netpolTests)
	}
}

// The upstream suite uses a pod's first address. The second is subject to the same policies.
func TestIPv6(t *testing.T) {
	c := cluster.Shared(t, cluster.Options{Nodes: 3, DualStack: true})
	stage.Install(t, c, stage.Dev)
	s := newTheatre(t, c)
	open := stage.Serve(t, s.server, s.server.Addr6, openPort)
	closed := stage.Serve(t, s.server, s.server.Addr6, closedPort)
	stage.AwaitAllowed(t, s.client, open.Addr)
	stage.AwaitDenied(t, s.client, closed.Addr)
	for _, p := range s.strangers {
		stage.AwaitDenied(t, p, open.Addr)
	}
	stage.VerifyAgents(t, c)
}
