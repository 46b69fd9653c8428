package e2e

import (
	"testing"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// Ports of a theatre's server.
const (
	openPort   = 1001
	closedPort = 1002
)

// theatre is what most scenarios play in: a server, a client that may use one port of it, and
// a stranger that may use none. The server is on node 1, the client on node 2, and a stranger on each.
type theatre struct {
	*stage.Space
	server, client *stage.Pod
	strangers      []*stage.Pod
	open, closed   *stage.Server // the server's ports
}

const theatrePolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: client}}}]
    ports: [{protocol: UDP, port: 1001}, {protocol: TCP, port: 1001}]
`

// newTheatre sets the scene, with policy in force.
func newTheatre(t *testing.T, c *cluster.Cluster) *theatre {
	t.Helper()
	s := &theatre{Space: stage.NewSpace(t, c, nil)}
	s.Apply(theatrePolicy)
	app := func(name string, node int, app string) stage.PodSpec {
		return stage.PodSpec{Name: name, Node: node, Labels: map[string]string{"app": app}}
	}
	specs := []stage.PodSpec{app("server", 1, "server"), app("client", 2, "client"), app("stranger-1", 1, "stranger"), app("stranger-2", 2, "stranger")}
	for _, p := range specs {
		s.CreatePod(p)
	}
	s.server, s.client = s.WaitPod("server"), s.WaitPod("client")
	s.strangers = []*stage.Pod{s.WaitPod("stranger-1"), s.WaitPod("stranger-2")}
	s.open = stage.Serve(t, s.server, s.server.Addr, openPort)
	s.closed = stage.Serve(t, s.server, s.server.Addr, closedPort)

	stage.AwaitAllowed(t, s.client, s.open.Addr)
	stage.AwaitDenied(t, s.client, s.closed.Addr)
	for _, p := range s.strangers {
		stage.AwaitDenied(t, p, s.open.Addr)
	}
	s.open.Forget()
	s.closed.Forget()
	return s
}

// play starts traffic that policy allows, and traffic that it denies. The function that it gives ends them,
// and checks that of the first nothing was lost, and of the second nothing got through.
func (s *theatre) play(t *testing.T) (allowed []*stage.Flow, end func()) {
	t.Helper()
	allowed = stage.Allowed(t, s.client, s.open.Addr)
	denied := stage.Denied(t, s.client, s.closed.Addr)
	for _, p := range s.strangers {
		denied = append(denied, stage.Denied(t, p, s.open.Addr)...)
	}
	stage.Advance(t, allowed, 20)
	stage.Advance(t, denied, 20)
	return allowed, func() {
		t.Helper()
		stage.Advance(t, allowed, 20)
		stage.Advance(t, denied, 20)
		stage.Stop(t, allowed)
		stage.Stop(t, denied)
		for from, n := range s.closed.SeenAll() {
			t.Errorf("%d packets from %s got through to the closed port", n, from)
		}
		for _, p := range s.strangers {
			if n := s.open.Seen(p.Addr); n > 0 {
				t.Errorf("%d packets from %s got through to the open port", n, p.Name)
			}
		}
		stage.VerifyAgents(t, s.Cluster)
	}
}

// withTierwall is the cluster of most scenarios: two nodes, with tierwall.
func withTierwall(t *testing.T) *cluster.Cluster {
	t.Helper()
	c := cluster.Shared(t, cluster.Options{Nodes: 2})
	stage.Install(t, c, stage.Dev)
	return c
}
