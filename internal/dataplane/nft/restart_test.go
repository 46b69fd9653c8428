package nft

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/policy"
)

// TestNoWindow starts new processes' dataplanes one after the other on top of
// each other, while b is flooded with packets that it must not get, and a
// connection lives that must not break.
func TestNoWindow(t *testing.T) {
	l := podLab(t)
	tables := bTables(port(policy.TCP, 443))
	b := newDataplane(t, nodeNS(l))
	apply(t, b, tabletest.Empty().Step(tables))
	live, err := l.Open(context.Background(), policy.Flow{Src: podA4, Dst: podB4, Protocol: policy.TCP, DstPort: 443}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = live.Close() }()
	sent, leaked := flood(t, l.Host("a").DialContext, l.Host("b").ListenPacket, netip.AddrPortFrom(podB4, 53))
	deadline := time.Now().Add(30 * time.Second)
	const restarts = 25
	for i := range restarts {
		b := newDataplane(t, nodeNS(l))
		apply(t, b, tabletest.Empty().Step(tables))
		if findings, err := b.compare(); err != nil || len(findings) > 0 {
			t.Fatalf("restart %d: %q, %v", i, findings, err)
		}
		if err := live.Exchange(5 * time.Second); err != nil {
			t.Fatalf("restart %d: %v", i, err)
		}
		for seen := sent.Load(); sent.Load() < seen+100 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond) // until there was traffic
		}
	}
	counters, err := newReader(t, nodeNS(l), tables).Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d packets sent, %d arrived; counters %v", sent.Load(), leaked.Load(), counters)
	if sent.Load() < restarts*100 || leaked.Load() > 0 {
		t.Errorf("%d of %d denied packets arrived during %d restarts", leaked.Load(), sent.Load(), restarts)
	}
	for _, c := range counters {
		// Counted by 25 tables one after the other: what a restart reads before
		// it replaces the table goes on.
		if c.Decider.ID == 4 && c.Packets < uint64(sent.Load())/2 {
			t.Errorf("%d packets denied, but %d counted", sent.Load(), c.Packets)
		}
	}
}

// newReader is a dataplane that has just taken the table over.
func newReader(t *testing.T, ns string, m *tabletest.Model) *Dataplane {
	b := newDataplane(t, ns)
	apply(t, b, tabletest.Empty().Step(m))
	return b
}

// flood sends packets to an address as fast as it goes until the test ends, and
// counts those sent and those that arrive.
func flood(t *testing.T, dial func(context.Context, string, string) (net.Conn, error),
	listen func(string, string) (net.PacketConn, error), to netip.AddrPort,
) (sent, arrived *atomic.Int64) {
	t.Helper()
	sent, arrived = &atomic.Int64{}, &atomic.Int64{}
	server, err := listen("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	client, err := dial(context.Background(), "udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Add(2)
	stop := make(chan struct{})
	go func() {
		defer wait.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := client.Write([]byte("x")); err == nil {
				sent.Add(1)
			}
		}
	}()
	go func() {
		defer wait.Done()
		for buf := make([]byte, 16); ; {
			if _, _, err := server.ReadFrom(buf); err != nil {
				return
			}
			arrived.Add(1)
		}
	}()
	t.Cleanup(func() {
		close(stop)
		_ = client.Close()
		_ = server.Close()
		wait.Wait()
	})
	return sent, arrived
}

// toggleEnv makes the test binary a process that applies two states in turns in
// the network namespace that the variable names, until it is killed.
const toggleEnv = "TIERWALL_TEST_TOGGLE"

// twoStates returns two tables that differ in everything.
func twoStates() [2]*tabletest.Model {
	one, two := podTables(), rename(bTables(port(policy.TCP, 443)))
	delete(two.Addrs, podA6)
	return [2]*tabletest.Model{one, two}
}

func toggle() {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	b, err := New(Options{NetNS: os.Getenv(toggleEnv), KeepConnections: true})
	if err != nil {
		fail(err)
	}
	states, last := twoStates(), tabletest.Empty()
	for i := 0; ; i++ {
		if err := b.Apply(context.Background(), last.Step(states[i%2])); err != nil {
			fail(err)
		}
		last = states[i%2]
		fmt.Println("applied")
	}
}

// TestKilled kills a process in the midst of its work, again and again: the
// kernel's tables are always of one of its states, whole.
func TestKilled(t *testing.T) {
	l := podLab(t)
	for i := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), toggleEnv+"="+nodeNS(l))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + 3*i {
			if !lines.Scan() || lines.Text() != "applied" {
				t.Errorf("the process said %q", lines.Text())
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		k, err := Read(context.Background(), Options{NetNS: nodeNS(l)})
		if err != nil {
			t.Fatal(err)
		}
		matches := [2]bool{true, true}
		for _, f := range packetFlows() {
			e, in := k.Decide(f)
			for j, m := range twoStates() {
				wantE, wantIn := m.Decide(f)
				matches[j] = matches[j] && e == wantE && in == wantIn
			}
		}
		if !matches[0] && !matches[1] {
			t.Errorf("kill %d: the tables are of neither state", i)
		}
	}
}
