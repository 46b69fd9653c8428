package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tierwall/tierwall/test/e2e/cluster"
)

// AgentProcess returns the PID of the agent on a node.
func AgentProcess(n *cluster.Node) (int, error) {
	pids, err := n.Processes(func(argv []string) bool {
		asks := func(arg string) bool {
			return arg == "status" || arg == "verify" || arg == "--status" || arg == "--verify"
		}
		return len(argv) > 1 && slices.Contains(argv[1:], "agent") && !slices.ContainsFunc(argv[1:], asks)
	})
	if err != nil {
		return 0, err
	}
	if len(pids) != 1 {
		return 0, fmt.Errorf("%s: %d agents run, not one", n.Name(), len(pids))
	}
	return pids[0], nil
}

// KillAgent ends the agent of a node without a warning, and returns when the kubelet has started
// another.
func KillAgent(t testing.TB, n *cluster.Node) {
	t.Helper()
	old, err := AgentProcess(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatalf("%s: kill the agent: %v", n.Name(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	err = Eventually(ctx, func(context.Context) error {
		pid, err := AgentProcess(n)
		if err == nil && pid == old {
			err = errors.New("the agent has not ended")
		}
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", n.Name(), err)
	}
}

// PauseAgent stops the agent of a node as it is, until the function is called or the test ends: it is there, and does nothing.
func PauseAgent(t testing.TB, n *cluster.Node) (resume func()) {
	t.Helper()
	pid, err := AgentProcess(n)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGSTOP)
	}
	if err != nil {
		t.Fatalf("%s: pause the agent: %v", n.Name(), err)
	}
	resume = sync.OnceFunc(func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Errorf("%s: resume the agent: %v", n.Name(), err)
		}
	})
	t.Cleanup(resume)
	return resume
}

// AwaitAgents waits until the agents of all nodes are ready.
func AwaitAgents(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	_, err := c.Kubectl(ctx, "--namespace", SystemNamespace, "rollout", "status", "--timeout="+Patience.String(), "daemonset/tierwall-agent")
	if err != nil {
		describe(t, c)
		t.Fatal(err)
	}
}

// VerifyAgents lets the agent's own check run on every node: the kernel, read back, must decide everything as
// policy says. A change may be under way, so it is tried again until it agrees.
func VerifyAgents(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for _, n := range c.Nodes() {
		var last string
		err := Eventually(ctx, func(ctx context.Context) error {
			var err error
			last, err = inAgent(ctx, c, n, "tierwall", "agent", "verify", "--store=kube", "--node="+n.Name())
			if err != nil && strings.Contains(err.Error(), `unexpected argument "verify"`) { // of an earlier release
				last, err = inAgent(ctx, c, n, "tierwall", "agent", "--store=kube", "--node="+n.Name(), "--verify")
			}
			if err != nil && strings.Contains(err.Error(), "nothing to compare") {
				last, err = "no pod with an address is here", nil
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v\n%s", n.Name(), err, last)
			continue
		}
		t.Logf("%s: %s", n.Name(), strings.TrimSpace(last))
	}
}

// InAgent runs a program in the pod of a node's agent, and gives what it prints.
func InAgent(t testing.TB, c *cluster.Cluster, n *cluster.Node, argv ...string) (string, error) {
	t.Helper()
	return inAgent(t.Context(), c, n, argv...)
}

func inAgent(ctx context.Context, c *cluster.Cluster, n *cluster.Node, argv ...string) (string, error) {
	pod, err := c.Kubectl(ctx, "--namespace", SystemNamespace, "get", "pods", "--selector=app.kubernetes.io/component=agent",
		"--field-selector=spec.nodeName="+n.Name(), "-o", "jsonpath={.items[0].metadata.name}")
	if err != nil {
		return "", err
	}
	return c.Kubectl(ctx, append([]string{"--namespace", SystemNamespace, "exec", pod, "--"}, argv...)...)
}
