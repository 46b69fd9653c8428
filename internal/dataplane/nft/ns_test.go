package nft

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(toggleEnv) != "" {
		toggle()
		return
	}
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // tests that need a lab skip
	}
	os.Exit(m.Run())
}

// newLab makes a node without hosts that lives as long as the test.
func newLab(t testing.TB) *lab.Lab {
	t.Helper()
	lab.Require(t)
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// nodeNS returns the file that stands for the node's network namespace.
func nodeNS(l *lab.Lab) string { return namespaceOf(l.Node()) }

// namespaceOf returns the file that stands for a host's network namespace.
func namespaceOf(h *lab.Host) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.FD()) }

// newNamespace returns a network namespace of the test's own.
func newNamespace(t testing.TB) string {
	t.Helper()
	return nodeNS(newLab(t))
}

func newDataplane(t testing.TB, ns string) *Dataplane {
	t.Helper()
	b, err := New(Options{NetNS: ns, Logging: Logging{Group: 7411}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func apply(t testing.TB, b dataplane.Dataplane, d *dataplane.Delta) {
	t.Helper()
	if err := b.Apply(context.Background(), d); err != nil {
		t.Fatal(err)
	}
}

// addHost adds a host to a lab.
func addHost(t testing.TB, l *lab.Lab, name string, addrs ...string) *lab.Host {
	t.Helper()
	cfg := lab.HostConfig{Name: name}
	for _, a := range addrs {
		cfg.Addrs = append(cfg.Addrs, netip.MustParseAddr(a))
	}
	h, err := l.AddHost(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// stockNFT runs the nft program in the node, and skips the test where there is none.
func stockNFT(t testing.TB, l *lab.Lab, script string) string {
	t.Helper()
	return stockNFTIn(t, l.Node(), script)
}

// stockNFTIn runs it in a host.
func stockNFTIn(t testing.TB, h *lab.Host, script string) string {
	t.Helper()
	cmd := exec.Command(lab.RequireProgram(t, "nft"), "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := h.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("nft: %v\n%s\n%s", err, script, out.String())
	}
	return out.String()
}
