// Command figures measures an agent at the size of a large cluster: a real API server, pods that a
// second client writes (no kubelets), and the agent as a process of the control plane's host.
//
//	go run ./cmd/figures -pods 100000 -policies 10000
//
// It prints: time and memory of the first state; memory and CPU at rest and at a given rate of pod
// changes; and how long each kind of change took from the watch event to the kernel, from the
// agent's own histogram (tierwall_change_seconds), whose limits double: a figure is an upper bound.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/test/e2e/cluster"
)

func main() {
	var s size
	flag.IntVar(&s.pods, "pods", 100_000, "pods of the cluster")
	flag.IntVar(&s.policies, "policies", 10_000, "Kubernetes NetworkPolicies")
	flag.IntVar(&s.namespaces, "namespaces", 500, "namespaces")
	flag.IntVar(&s.local, "local", 100, "pods on the agent's node")
	changes := flag.Int("changes", 300, "changes of each kind that are measured")
	rate := flag.Int("rate", 100, "pod changes per second while CPU is measured")
	span := flag.Duration("span", 30*time.Second, "how long CPU is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s, *changes, *rate, *span)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s size, changes, rate int, span time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "tierwall-figures-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "tierwall")
	build := exec.CommandContext(ctx, "go", "build", "-C", "../..", "-trimpath", "-ldflags=-s -w", "-o", binary, "./cmd/tierwall")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build tierwall: %w: %s", err, out)
	}
	c, err := cluster.Up(ctx, cluster.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = c.Stop() }()
	definitions, err := filepath.Abs("../../config/crd")
	if err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "-f", definitions); err != nil {
		return err
	}
	cfg := rest.CopyConfig(c.Config())
	cfg.QPS, cfg.Burst = -1, -1
	cfg.ContentType, cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := fill(ctx, client, s); err != nil {
		return fmt.Errorf("fill the cluster: %w", err)
	}
	fmt.Printf("filled in %.0f s: %d pods, %d policies, %d namespaces\n", time.Since(start).Seconds(), s.pods, s.policies, s.namespaces)

	a, err := startAgent(ctx, c, binary, dir)
	if err != nil {
		return err
	}
	defer a.stop()
	m := measure{agent: a, client: client, dynamic: cfg, size: s}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return m.rest(ctx, span) },
		func(ctx context.Context) error { return m.latencies(ctx, changes) },
		func(ctx context.Context) error { return m.busy(ctx, span, rate) },
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}
