package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Daemon is a long-running program of the cluster.
type Daemon struct {
	name  string
	node  *Node
	argv  []string
	ready func(context.Context) error // nil: it is when it runs

	mu   sync.Mutex
	cmd  *Cmd          // nil: it does not run
	done chan struct{} // closed when cmd has ended
}

// daemonPatience bounds how long a daemon may take until it answers, on a machine that is
// busy with other things.
const daemonPatience = 3 * time.Minute

// addDaemon makes a daemon of the node. Daemons start in this order after a reboot.
func (n *Node) addDaemon(ready func(context.Context) error, name string, argv ...string) *Daemon {
	d := &Daemon{name: name, node: n, argv: argv, ready: ready}
	if n.index > 0 {
		d.name += "-" + n.name
	}
	n.daemons = append(n.daemons, d)
	return d
}

// Name is the daemon's name, as in Cluster.Daemon.
func (d *Daemon) Name() string { return d.name }

// Log is the path of the daemon's log. A restart appends to it.
func (d *Daemon) Log() string { return filepath.Join(d.node.cluster.logs, d.name+".log") }

// PID is the daemon's process, as this process sees it, or 0 if it does not run.
func (d *Daemon) PID() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running() {
		return 0
	}
	return d.cmd.Process.Pid
}

// running reports whether the process has not ended. The caller holds mu.
func (d *Daemon) running() bool {
	if d.cmd == nil {
		return false
	}
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// Kill ends the daemon at once (SIGKILL) and returns when it is gone. It stays
// down until Start.
func (d *Daemon) Kill() error { return d.signal(context.Background(), syscall.SIGKILL) }

// Stop asks the daemon to end (SIGTERM) and returns when it has, or when the context ends.
func (d *Daemon) Stop(ctx context.Context) error { return d.signal(ctx, syscall.SIGTERM) }

func (d *Daemon) signal(ctx context.Context, s syscall.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running() {
		return fmt.Errorf("%s: it does not run: %s", d.name, d.lastWords())
	}
	if err := d.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	select {
	case <-d.done:
		d.cmd = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: does not end: %w", d.name, ctx.Err())
	}
}

// ended notes that the daemon went down with its node.
func (d *Daemon) ended() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd != nil {
		<-d.done
		d.cmd = nil
	}
}

// Start starts the daemon again after Kill or Stop, and returns when it answers.
func (d *Daemon) Start(ctx context.Context) error {
	if err := d.launch(); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	if d.ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, daemonPatience)
	defer cancel()
	err := poll(ctx, func(ctx context.Context) error {
		if d.PID() == 0 {
			return fatal{errors.New("it has ended")}
		}
		return d.ready(ctx)
	})
	if err != nil {
		return fmt.Errorf("%s: %w: %s", d.name, err, d.lastWords())
	}
	return nil
}

func (d *Daemon) launch() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running() {
		return errors.New("it runs already")
	}
	log, err := os.OpenFile(d.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := d.node.Command(context.Background(), d.argv[0], d.argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	d.cmd, d.done = cmd, done
	go func() {
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			panic(err) // only a mistake of this package
		}
		close(done)
	}()
	return nil
}

// lastWords is the end of the daemon's log.
func (d *Daemon) lastWords() string {
	b, err := os.ReadFile(d.Log())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Sprintf("the end of %s:\n%s", d.Log(), strings.Join(lines[max(0, len(lines)-15):], "\n"))
}

// fatal is an error that waiting does not help against.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// poll calls f until it has no error, or one that is fatal, or the context ends; then it gives the last.
func poll(ctx context.Context, f func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil || errors.As(err, &fatal{}) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		}
	}
}
