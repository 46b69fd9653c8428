package agent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/verify"
)

// TestVerifySeesGuards: what guards lack, of the table for IP or of that for bridges, is seen by
// who reads the kernel beside the agent, or after it.
func TestVerifySeesGuards(t *testing.T) {
	lab.Require(t)
	l, err := lab.New(lab.Config{Name: "here"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &host{t: t, lab: l, dir: t.TempDir(), run: t.TempDir()}
	h.connect()
	if err := l.AddBridge(lab.BridgeConfig{Name: "cni0", Gateways: []netip.Prefix{netip.MustParsePrefix("10.1.0.254/24")}}); err != nil {
		t.Fatal(err)
	}
	var pods strings.Builder
	for _, p := range []struct{ name, addr, bridge string }{{"db", "10.0.0.1", ""}, {"one", "10.1.0.1", "cni0"}, {"two", "10.1.0.2", "cni0"}} {
		if _, err := l.AddHost(lab.HostConfig{Name: p.name, Addrs: []netip.Addr{netip.MustParseAddr(p.addr)}, Bridge: p.bridge}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&pods, `
---
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: shop, labels: {app: db}}
spec: {nodeName: here, containers: [{name: c, image: i}]}
status: {podIP: %s}
`, p.name, p.addr)
	}
	h.write("pods.yaml", pods.String())
	h.write("policy.yaml", agenttest.AllowPort("5432"))
	agent := h.startAgent()
	h.eventually("all interfaces are known", func() bool {
		for _, e := range h.status().Endpoints {
			if e.Interface == "" {
				return false
			}
		}
		return true
	})
	if rep := h.verify(); rep.Differences != 0 || rep.Decisions < 10_000 {
		t.Fatalf("with everything in force: %+v", rep)
	}
	// An agent would repair it at once.
	_ = agent.cmd.Process.Signal(syscall.SIGTERM)
	agent.wait(t)
	for _, x := range []struct{ guard, chain string }{
		{"encapsulation", "inet tierwall guard-encapsulator"},
		{"icmp-error", "inet tierwall guard-icmp-error4"},
		{"source", "inet tierwall source"},
		{"frame", "bridge tierwall frames"},
		{"source", "bridge tierwall source"},
	} {
		h.stockNFT("flush chain " + x.chain)
		text := ""
		for _, d := range h.verify().First {
			text += d.String() + "\n"
		}
		if !strings.Contains(text, "dropped by guard "+x.guard) {
			t.Errorf("without %s:\n%s", x.chain, text)
		}
		again := h.startAgent()
		if rep := h.verify(); rep.Differences != 0 {
			t.Errorf("the next agent has repaired all, but %+v", rep.First)
		}
		_ = again.cmd.Process.Signal(syscall.SIGTERM)
		again.wait(t)
	}
}

// verify runs `agent verify` beside the agent.
func (h *host) verify() (rep verify.Report) {
	h.t.Helper()
	v := h.start("verify")
	if code := v.wait(h.t); code != 0 {
		h.t.Fatalf("verify: exit %d, %s", code, v.stderr.String())
	}
	if err := json.Unmarshal(v.stdout.Bytes(), &rep); err != nil {
		h.t.Fatal(err)
	}
	return rep
}

// stockNFT has the nft program do something on the node.
func (h *host) stockNFT(command string) {
	h.t.Helper()
	cmd := exec.Command(lab.RequireProgram(h.t, "nft"), command)
	if err := h.lab.Node().Do(func() error {
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("nft %s: %w: %s", command, err, out)
		}
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
}
