// Package etcdtest runs real etcd members on loopback, for tests.
package etcdtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Patience bounds any wait of a test for etcd: it is long, because machines may
// be slow, and ends only what would hang.
const Patience = 60 * time.Second

// Options says what cluster to run.
type Options struct {
	Members int // 0 means 1
	// Certs demands TLS, and certificates of clients.
	Certs *Certs
	// Args are further arguments of each member.
	Args []string
}

// Cluster is a running etcd. It ends with the test.
type Cluster struct {
	t       testing.TB
	opts    Options
	dir     string
	members []*Member
}

// Member is one etcd process.
type Member struct {
	Name      string
	URL       string // for clients
	peerURL   string
	stdErr    lockedBuffer
	cmd       *exec.Cmd
	initially string // the state of the cluster when it is first started
}

// Start runs a cluster and waits until it answers. Without etcd on this machine
// the test is skipped; with CI=true it fails.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no etcd on this machine (Debian: etcd-server)")
		}
		t.Skip("there is no etcd on this machine (Debian: etcd-server)")
	}
	c := &Cluster{t: t, opts: opts, dir: t.TempDir()}
	scheme := "http"
	if opts.Certs != nil {
		scheme = "https"
	}
	ports := freePorts(t, 2*max(1, opts.Members))
	for i := range max(1, opts.Members) {
		c.members = append(c.members, &Member{
			Name:    fmt.Sprintf("m%d", i),
			URL:     fmt.Sprintf("%s://127.0.0.1:%d", scheme, ports[2*i]),
			peerURL: fmt.Sprintf("http://127.0.0.1:%d", ports[2*i+1]), initially: "new",
		})
	}
	t.Cleanup(func() {
		for _, m := range c.members {
			c.Kill(m)
		}
	})
	for _, m := range c.members {
		c.Restart(m)
	}
	c.WaitReady()
	return c
}

// freePorts returns ports that nobody listens on at the moment.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Members returns all members, also those that do not run.
func (c *Cluster) Members() []*Member { return c.members }

// URLs returns the members' URLs for clients.
func (c *Cluster) URLs() []string {
	var urls []string
	for _, m := range c.members {
		urls = append(urls, m.URL)
	}
	return urls
}

// Restart runs a member, with the data that it had.
func (c *Cluster) Restart(m *Member) {
	c.t.Helper()
	var initial []string
	for _, other := range c.members {
		initial = append(initial, other.Name+"="+other.peerURL)
	}
	args := []string{
		"--name", m.Name, "--data-dir", c.dataDir(m),
		"--listen-client-urls", m.URL, "--advertise-client-urls", m.URL,
		"--listen-peer-urls", m.peerURL, "--initial-advertise-peer-urls", m.peerURL,
		"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-state", m.initially,
		"--initial-cluster-token", filepath.Base(c.dir), "--log-level", "error",
		"--heartbeat-interval", "50", "--election-timeout", "500",
	}
	if k := c.opts.Certs; k != nil {
		args = append(args, "--cert-file", k.ServerCert, "--key-file", k.ServerKey, "--client-cert-auth", "--trusted-ca-file", k.CA)
	}
	m.cmd = exec.Command("etcd", append(args, c.opts.Args...)...)
	m.cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	m.cmd.Stderr, m.cmd.Stdout = &m.stdErr, &m.stdErr
	// It must not outlive a test that is killed.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
}

// Kill ends a member as a power failure would.
func (c *Cluster) Kill(m *Member) {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGCONT)
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	m.cmd = nil
}

// Freeze stops a member without ending its connections.
func (c *Cluster) Freeze(m *Member) { _ = m.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen member go on.
func (c *Cluster) Thaw(m *Member) { _ = m.cmd.Process.Signal(syscall.SIGCONT) }

// Wipe makes the cluster another one, without data. No member may run.
func (c *Cluster) Wipe() {
	for _, m := range c.members {
		if err := os.RemoveAll(c.dataDir(m)); err != nil {
			c.t.Fatal(err)
		}
	}
	c.dir = filepath.Join(c.dir, "anew")
}

// SaveData copies a member's data, and gives what puts it back. The member must
// not run either time.
func (c *Cluster) SaveData(m *Member) (restore func()) {
	saved := filepath.Join(c.t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(c.dataDir(m))); err != nil {
		c.t.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.RemoveAll(c.dataDir(m)), os.CopyFS(c.dataDir(m), os.DirFS(saved))); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *Cluster) dataDir(m *Member) string { return filepath.Join(c.dir, m.Name) }

// Leader returns the member that leads; nil if none says so.
func (c *Cluster) Leader(client *clientv3.Client) *Member {
	for _, m := range c.members {
		if m.cmd == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		st, err := client.Status(ctx, m.URL)
		cancel()
		if err == nil && st.Leader == st.Header.MemberId {
			return m
		}
	}
	return nil
}

// Client returns a client with the cluster's own rights; user and password may be empty.
func (c *Cluster) Client(user, password string) *clientv3.Client {
	c.t.Helper()
	cfg := clientv3.Config{Endpoints: c.URLs(), Username: user, Password: password, DialTimeout: Patience, Logger: zap.NewNop()}
	if c.opts.Certs != nil {
		cfg.TLS = c.opts.Certs.ClientConfig(c.t)
	}
	client, err := clientv3.New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}

// WaitReady waits until each running member answers.
func (c *Cluster) WaitReady() {
	c.t.Helper()
	transport := &http.Transport{Proxy: nil}
	if c.opts.Certs != nil {
		transport.TLSClientConfig = c.opts.Certs.ClientConfig(c.t)
	}
	defer transport.CloseIdleConnections()
	deadline := time.Now().Add(Patience)
	for _, m := range c.members {
		for m.cmd != nil && !healthy(&http.Client{Transport: transport, Timeout: Patience}, m.URL) {
			if time.Now().After(deadline) {
				c.t.Fatalf("etcd %s does not answer:\n%s", m.Name, m.stdErr.String())
			}
			time.Sleep(20 * time.Millisecond) // there is no event to wait for
		}
	}
}

func healthy(client *http.Client, url string) bool {
	resp, err := client.Get(url + "/health")
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	var body bytes.Buffer
	_, _ = body.ReadFrom(resp.Body)
	return resp.StatusCode == http.StatusOK && strings.Contains(body.String(), "true")
}

// lockedBuffer keeps what a process says.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
