// Command cluster brings a test cluster up by hand, to explore.
//
//	cluster up [-nodes 2] [-dual-stack] [-proxy-mode iptables] [-image FILE]...
//	cluster build [-suite]
//
// up stays in the foreground, and interrupting it ends the cluster. Meanwhile, elsewhere:
//
//	cluster kubectl get pods -A
//	cluster in n1 nft list ruleset
//	cluster image FILE
//	cluster logs kubelet-n1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tierwall/tierwall/test/e2e/cluster"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: cluster up|build|kubectl|in|image|logs; see go doc ./cmd/cluster")

func run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	switch command, args := args[0], args[1:]; command {
	case "up":
		return up(ctx, args)
	case "build":
		return build(ctx, args)
	case "kubectl":
		return in(ctx, "cp", append([]string{"kubectl"}, args...))
	case "in":
		if len(args) < 2 {
			return errors.New("usage: cluster in cp|n1|... COMMAND")
		}
		return in(ctx, args[0], args[1:])
	case "image":
		if len(args) != 1 {
			return errors.New("usage: cluster image FILE")
		}
		c, err := cluster.Attach()
		if err != nil {
			return err
		}
		return c.LoadImage(ctx, args[0])
	case "logs":
		return logs(args)
	}
	return errUsage
}

// list is a flag that can be given more than once.
type list []string

func (l *list) String() string { return fmt.Sprint(*l) }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

func up(ctx context.Context, args []string) error {
	var o cluster.Options
	var images list
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	flags.IntVar(&o.Nodes, "nodes", 2, "number of nodes, 0 to 9")
	flags.BoolVar(&o.DualStack, "dual-stack", false, "IPv6 beside IPv4")
	flags.BoolVar(&o.Bridge, "bridge", false, "pods are ports of a bridge on their node")
	flags.StringVar((*string)(&o.ProxyMode), "proxy-mode", "nftables", "mode of kube-proxy: nftables, iptables")
	flags.Var(&images, "image", "archive of an image to import in all nodes")
	_ = flags.Parse(args) // it exits
	start := time.Now()
	c, err := cluster.Up(ctx, o)
	if err != nil {
		return err
	}
	for _, f := range images {
		if err := c.LoadImage(ctx, f); err != nil {
			return errors.Join(err, c.Stop())
		}
	}
	fmt.Printf("up in %.1f s; interrupt to end it\nlogs: %s\n", time.Since(start).Seconds(), c.Logs())
	<-ctx.Done()
	return c.Stop()
}

func build(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("build", flag.ExitOnError)
	suite := flags.Bool("suite", false, "the upstream test suite as well")
	_ = flags.Parse(args) // it exits
	start := time.Now()
	build := cluster.Build
	if *suite {
		build = cluster.BuildSuite
	}
	p, err := build(ctx, os.Stdout)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %.0f s\n", filepath.Dir(p.Program("kubectl")), time.Since(start).Seconds())
	return nil
}

// in runs a command in a host of the cluster that is up.
func in(ctx context.Context, host string, command []string) error {
	c, err := cluster.Attach()
	if err != nil {
		return err
	}
	for _, n := range append([]*cluster.Node{c.ControlPlane()}, c.Nodes()...) {
		if n.Name() == host {
			cmd := n.Command(ctx, command[0], command[1:]...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
			cmd.SysProcAttr.Setsid = false // so that it has the terminal
			cmd.Dir, _ = os.Getwd()
			return cmd.Run()
		}
	}
	return fmt.Errorf("no host %s", host)
}

func logs(args []string) error {
	c, err := cluster.Attach()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		fmt.Println(c.Logs())
		return nil
	}
	b, err := os.ReadFile(filepath.Join(c.Logs(), args[0]+".log"))
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(b)
	return err
}
