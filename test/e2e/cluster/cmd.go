package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Cmd is a program inside a node. It is an [exec.Cmd], and its process is a child of this
// process; its methods that start it do so in the node's namespaces.
type Cmd struct {
	*exec.Cmd
	node *Node
}

// Command prepares a program to run inside the node, as [exec.CommandContext] does.
// The program sees KUBECONFIG, and kubectl, ctr and the like on its PATH. It dies when the
// node goes down.
func (n *Node) Command(ctx context.Context, name string, args ...string) *Cmd {
	path, err := n.lookPath(name)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Args[0] = name
	if err != nil {
		cmd.Err = err
	}
	cmd.Dir = "/"
	cmd.Env = n.environment()
	// A terminal's interrupt is for this process, which decides what ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return &Cmd{cmd, n}
}

// lookPath finds a program among the parts, then on this machine, whose files
// are the node's as well.
func (n *Node) lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	if path := n.cluster.parts.Program(name); exists(path) {
		return path, nil
	}
	path, err := machineProgram(name)
	if err != nil {
		return name, err
	}
	return path, nil
}

func (n *Node) environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "PATH" && name != "KUBECONFIG" {
			env = append(env, v)
		}
	}
	path := filepath.Join(n.cluster.parts.dir, "bin") + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin:/usr/bin:/bin"
	return append(env, "PATH="+path, "KUBECONFIG="+n.cluster.Kubeconfig(),
		"CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1") // of cgroup v1, at every call of ctr
}

// Start starts the program without waiting for its end.
func (c *Cmd) Start() error {
	h := c.node.current()
	if h == nil {
		return fmt.Errorf("%s: it is down", c.node.name)
	}
	if err := enter(h.pidfd, allNamespaces, c.Cmd.Start); err != nil {
		return fmt.Errorf("%s: %s: %w", c.node.name, c.Args[0], err)
	}
	return nil
}

// Run runs the program to its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and gives its standard output. An error has what it
// printed on its standard error.
func (c *Cmd) Output() ([]byte, error) {
	var stdout, stderr bytes.Buffer
	c.Stdout = &stdout
	if c.Stderr == nil {
		c.Stderr = &stderr
	}
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %s: %w: %s", c.node.name, strings.Join(c.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), err
}

// CombinedOutput runs the program and gives what it printed.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Run runs a program inside the node and gives its standard output. An error
// has the command and what it printed on standard error.
func (n *Node) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := n.Command(ctx, name, args...).Output()
	return string(out), err
}
