package e2e

import (
	"testing"

	"github.com/tierwall/tierwall/test/e2e/stage"
)

// The agents of both nodes are killed under traffic, and again when they have just begun: nothing
// that is denied gets through, and nothing that is allowed is lost.
func TestAgentKilled(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	allowed, end := s.play(t)
	for range 2 {
		for _, n := range c.Nodes() {
			stage.KillAgent(t, n)
		}
		stage.Advance(t, allowed, 100)
	}
	stage.AwaitAgents(t, c)
	end()
}

// The API server is gone for half a minute, and an agent is killed meanwhile: policy stays in force as
// it was, and is caught up with afterwards.
func TestAPIServerGone(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	allowed, end := s.play(t)
	api := c.Daemon("kube-apiserver")
	if err := api.Kill(); err != nil {
		t.Fatal(err)
	}
	stage.Advance(t, allowed, 1000)
	stage.KillAgent(t, c.Node(1))
	stage.Advance(t, allowed, 5000) // 5 ms each, at the least
	if err := api.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stage.AwaitAgents(t, c)
	stage.Advance(t, allowed, 100)
	end()

	s.Apply(`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: later}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: client}}}]
    ports: [{protocol: UDP, port: 1002}]
`)
	stage.AwaitAllowed(t, s.client, s.closed.Addr)
}
