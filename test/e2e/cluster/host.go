package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/test/e2e/internal/keeper"
)

// host is the namespaces of a node, from one boot to the next.
type host struct {
	name     string
	pid      int
	pidfd    int
	lifeline *os.File // they live while it is open
	ended    chan struct{}
}

// newHost makes the namespaces of a host of the cluster that has the directory.
func newHost(p *Parts, dir string, spec keeper.Host) (_ *host, err error) {
	lifeReader, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = lifeReader.Close() }()
	report, reportWriter, err := os.Pipe()
	if err != nil {
		_ = lifeline.Close()
		return nil, err
	}
	defer func() { _ = report.Close() }()
	h := &host{name: spec.Name, lifeline: lifeline, pidfd: -1, ended: make(chan struct{})}
	cmd := exec.Command(p.Program("keeper"), keeper.HostMode, dir)
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{lifeReader, reportWriter}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: allNamespaces,
		PidFD:      &h.pidfd,
	}
	err = cmd.Start()
	_ = reportWriter.Close()
	if err != nil {
		_ = lifeline.Close()
		return nil, err
	}
	h.pid = cmd.Process.Pid
	go func() {
		_ = cmd.Wait() // it is killed
		close(h.ended)
	}()
	defer func() {
		if err != nil {
			err = errors.Join(err, h.end())
		}
	}()
	if h.pidfd < 0 {
		return nil, errors.New("this kernel has no pidfds")
	}
	// For the janitor.
	if err := os.WriteFile(filepath.Join(dir, keeper.HostsDir, h.name), []byte(strconv.Itoa(h.pid)), 0o644); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(lifeline).Encode(spec); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(report)
	if err != nil {
		return nil, err
	}
	if string(answer) != keeper.Ready {
		return nil, fmt.Errorf("set up: %s", answer)
	}
	return h, nil
}

// end ends everything in the host, and returns when it is gone.
func (h *host) end() error {
	err := h.lifeline.Close()
	if killed := unix.PidfdSendSignal(h.pidfd, unix.SIGKILL, nil, 0); killed != nil && !errors.Is(killed, unix.ESRCH) {
		err = errors.Join(err, killed)
	}
	<-h.ended
	return errors.Join(err, unix.Close(h.pidfd))
}
