package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/test/e2e/internal/keeper"
)

// keptLogs is how many clusters' logs stay in the cache.
const keptLogs = 20

// place finds a place for the cluster, with a janitor, and removes what is left of clusters
// whose process and janitor are gone.
func (c *Cluster) place() error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	unlock, err := lockFile(filepath.Join(cache, "run.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	run := filepath.Join(cache, "run")
	if err := removeStale(run); err != nil {
		return err
	}
	id := fmt.Sprintf("%08x", rand.Uint32())
	c.dir, c.logs = filepath.Join(run, id), filepath.Join(cache, "logs", id)
	for _, d := range []string{filepath.Join(c.dir, keeper.HostsDir), c.logs} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	lock, err := tryLock(c.dir)
	if err != nil {
		return err
	}
	if c.janitor, err = startJanitor(c.parts, c.dir, lock); err != nil {
		_ = lock.Close()
		return errors.Join(err, os.RemoveAll(c.dir))
	}
	return prune(filepath.Dir(c.logs), keptLogs, func(id string) bool { return exists(filepath.Join(run, id)) })
}

// errLocked is that a cluster's process or janitor lives.
var errLocked = errors.New("the cluster is in use")

// tryLock takes the lock that a cluster's process and its janitor hold. It ends when the file
// is closed by all that have it.
func tryLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errLocked
	}
	return nil, err
}

func removeStale(run string) error {
	dirs, err := filepath.Glob(filepath.Join(run, "*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		lock, err := tryLock(dir)
		if errors.Is(err, errLocked) {
			continue
		}
		if err == nil {
			err = errors.Join(keeper.Remove(dir), lock.Close())
		}
		if err != nil {
			return fmt.Errorf("what is left of an earlier cluster: %w", err)
		}
	}
	return nil
}

// janitor removes the cluster when this process is gone, or when told.
type janitor struct {
	once     sync.Once
	cmd      *exec.Cmd
	lifeline io.Closer
	lock     io.Closer
	stderr   bytes.Buffer
	err      error
}

// startJanitor starts a janitor for a cluster.
func startJanitor(p *Parts, dir string, lock *os.File) (*janitor, error) {
	reader, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	j := &janitor{cmd: exec.Command(p.Program("keeper"), keeper.JanitorMode, dir), lifeline: lifeline, lock: lock}
	j.cmd.Dir = "/"
	j.cmd.Stdin, j.cmd.Stderr = reader, &j.stderr
	j.cmd.ExtraFiles = []*os.File{lock} // held until the janitor is done
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := j.cmd.Start(); err != nil {
		_ = lifeline.Close()
		return nil, err
	}
	return j, nil
}

// finish lets the janitor remove the cluster, and gives its error.
func (j *janitor) finish() error {
	j.once.Do(func() {
		j.err = errors.Join(j.lifeline.Close(), j.cmd.Wait(), j.lock.Close())
		if text := bytes.TrimSpace(j.stderr.Bytes()); len(text) > 0 {
			j.err = errors.Join(j.err, errors.New(string(text)))
		}
	})
	return j.err
}
