package upgrade

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// previousVariable names the binary of the previous version. Without it the
// present one follows itself.
const previousVariable = "TIERWALL_PREVIOUS"

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(m.Run())
}

var (
	nodeAddr   = netip.MustParseAddr("172.31.255.1")
	webAddr    = netip.MustParseAddr("10.66.0.2")
	dbAddr     = netip.MustParseAddr("10.66.0.3")
	dnsAddr    = netip.MustParseAddr("192.0.2.53")
	siteAddr   = netip.MustParseAddr("203.0.113.10")
	clientAddr = netip.MustParseAddr("198.51.100.7")
)

// rounds is how often the versions change, in turns.
const rounds = 8

// TestAgentsFollowOneAnother changes agents under traffic: connections that
// policy allows live on and new ones are made, by labels, by a learned domain
// and to the host itself; nothing that it denies arrives, though a policy and a
// host endpoint are broken by typos meanwhile; nothing is left over.
func TestAgentsFollowOneAnother(t *testing.T) {
	lab.Require(t)
	present := buildPresent(t)
	versions := []string{present, present}
	if p := os.Getenv(previousVariable); p != "" {
		versions[0] = p
	} else {
		t.Logf("%s is not set: the present version follows itself", previousVariable)
	}
	l := newLab(t)
	dir, run := t.TempDir(), t.TempDir()
	for name, text := range manifests {
		write(t, filepath.Join(dir, name), text)
	}
	a := startAgent(t, l, versions[0], dir, run)
	learnSite(t, l)

	streams := []*lab.Conn{
		open(t, l, policy.TCP, webAddr, dbAddr, 5432),
		open(t, l, policy.UDP, webAddr, dbAddr, 5432),
		open(t, l, policy.TCP, webAddr, siteAddr, 443),
		open(t, l, policy.TCP, clientAddr, nodeAddr, 8443),
	}
	denied := []*flood{
		newFlood(t, l, webAddr, dbAddr, 5433),
		newFlood(t, l, dbAddr, webAddr, 80),
		newFlood(t, l, webAddr, siteAddr, 444),
		newFlood(t, l, clientAddr, nodeAddr, 8444),
	}
	dials := []*dialer{
		newDialer(t, l, webAddr, dbAddr, 5432),
		newDialer(t, l, webAddr, siteAddr, 443), // known from the journal of DNS: nobody asks again
		newDialer(t, l, clientAddr, nodeAddr, 8443),
	}
	tables := map[string][]string{versions[0]: listTables(t, l)}
	// From now on the last valid versions count.
	write(t, filepath.Join(dir, "db.yaml"), strings.Replace(manifests["db.yaml"], "protocol: TCP", "protocol: TPC", 1))
	write(t, filepath.Join(dir, "host.yaml"), strings.Replace(manifests["host.yaml"], "198.51.100.0/24", "198.51.100.0/33", 1))
	if versions[0] == present { // earlier ones forget a broken host endpoint at a restart
		write(t, filepath.Join(dir, "endpoint.yaml"), strings.Replace(manifests["endpoint.yaml"], "172.31.255.1", "172.31.255.999", 1))
	}

	for i := range rounds {
		version := versions[(i+1)%2]
		a.stop(t)
		a = startAgent(t, l, version, dir, run)
		// By its own verification: what versions enforce beside policy of forwarded packets differs.
		runIn(t, l, version, append([]string{"agent", "--verify"}, agentFlags(dir, run)...)...)
		for _, s := range streams {
			if err := s.Exchange(5 * time.Second); err != nil {
				t.Errorf("round %d: a connection that policy allows does not live on: %v", i, err)
			}
		}
		for _, f := range denied {
			f.advance(t, 50)
		}
		for _, d := range dials {
			d.advance(t, 5)
		}
		now := listTables(t, l)
		if was, ok := tables[version]; ok {
			if diff := cmp.Diff(was, now); diff != "" {
				t.Errorf("round %d: the tables differ from the first time (-then +now):\n%s", i, diff)
			}
		}
		tables[version] = now
	}
	for _, f := range denied {
		f.end(t)
	}
	for _, d := range dials {
		d.end(t)
	}
	a.stop(t)
	runIn(t, l, present, "agent", "remove", "--run-dir", run)
	if left := listTables(t, l); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// buildPresent builds the program from this checkout.
func buildPresent(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tierwall")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/tierwall")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.New(lab.Config{Addrs: []netip.Addr{nodeAddr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for name, addr := range map[string]netip.Addr{"web": webAddr, "db": dbAddr, "dns": dnsAddr, "site": siteAddr, "client": clientAddr} {
		if _, err := l.AddHost(lab.HostConfig{Name: name, Addrs: []netip.Addr{addr}, Interface: "to-" + name}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, l *lab.Lab, proto policy.Protocol, from, to netip.Addr, port uint16) *lab.Conn {
	t.Helper()
	c, err := l.Open(t.Context(), policy.Flow{Src: from, Dst: to, Protocol: proto, DstPort: port}, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// agent is a running one.
type agent struct {
	cmd   *exec.Cmd
	log   *strings.Builder
	ended chan error
}

// startAgent starts an agent on the node and returns when policy is in force.
func startAgent(t *testing.T, l *lab.Lab, binary, dir, run string) *agent {
	t.Helper()
	a := &agent{log: &strings.Builder{}, ended: make(chan error, 1)}
	a.cmd = exec.Command(binary, append([]string{"agent", "--metrics-addr", readyAddr}, agentFlags(dir, run)...)...)
	a.cmd.Stderr = a.log
	if err := l.Node().Do(a.cmd.Start); err != nil {
		t.Fatal(err)
	}
	go func() { a.ended <- a.cmd.Wait() }()
	t.Cleanup(func() { _ = a.cmd.Process.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !isReady(ctx, l) {
		select {
		case err := <-a.ended:
			t.Fatalf("%s ended: %v\n%s", binary, err, a.log)
		case <-ctx.Done():
			_ = a.cmd.Process.Kill()
			t.Fatalf("%s is not ready within a minute (%v)\n%s", binary, <-a.ended, a.log)
		case <-time.After(20 * time.Millisecond): // between two questions
		}
	}
	return a
}

// agentFlags are what an agent and a comparison with the kernel are told.
func agentFlags(dir, run string) []string {
	return []string{"--store", "files:" + dir, "--node", "node-1", "--run-dir", run, "--dns-servers", dnsAddr.String()}
}

func (a *agent) stop(t *testing.T) {
	t.Helper()
	_ = a.cmd.Process.Signal(os.Interrupt)
	if err := <-a.ended; err != nil {
		t.Fatalf("an agent ended badly: %v\n%s", err, a.log)
	}
}

func runIn(t *testing.T, l *lab.Lab, binary string, args ...string) string {
	t.Helper()
	var out []byte
	err := l.Node().Do(func() (err error) {
		out, err = exec.Command(binary, args...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", binary, args, err, out)
	}
	return string(out)
}

// listTables returns the tables of the node, with the chains that packets enter
// by: what an agent leaves over beside its own would be among them.
func listTables(t *testing.T, l *lab.Lab) []string {
	t.Helper()
	var found []string
	for _, line := range strings.Split(runIn(t, l, lab.RequireProgram(t, "nft"), "list", "chains"), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "table ") || strings.HasPrefix(line, "type ") {
			found = append(found, line)
		}
	}
	slices.Sort(found)
	return found
}

const readyAddr = "127.0.0.1:9097"

// learnSite has the agent learn the address of the site: its first answer opens it.
func learnSite(t *testing.T, l *lab.Lab) {
	t.Helper()
	serveDNS(t, l)
	conn, err := l.Host("web").DialContext(t.Context(), "udp", net.JoinHostPort(dnsAddr.String(), "53"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	askSite(t, conn)
}
