package agent

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/lab"
)

// stream is numbered packets from a host outside to the node itself.
type stream struct {
	sent, arrived atomic.Int64
	paused        atomic.Bool
}

// hostStreams sends packets to ports of the node until the end of the test, or stop.
func (h *host) hostStreams(from *lab.Host, ports ...uint16) (streams map[uint16]*stream, stop func()) {
	h.t.Helper()
	streams = map[uint16]*stream{}
	done := make(chan struct{})
	var senders, readers sync.WaitGroup
	var closers []func() error
	for _, port := range ports {
		to := netip.AddrPortFrom(h.lab.Node().Addr4(), port).String()
		server, err := h.lab.Node().ListenPacket("udp", to)
		if err != nil {
			h.t.Fatal(err)
		}
		if c, ok := server.(*net.UDPConn); ok {
			_ = c.SetReadBuffer(8 << 20) // a busy machine is no loss
		}
		client, err := from.DialContext(context.Background(), "udp", to)
		if err != nil {
			h.t.Fatal(err)
		}
		s := &stream{}
		streams[port] = s
		closers = append(closers, server.Close, client.Close)
		readers.Go(func() {
			for b := make([]byte, 16); ; {
				if _, _, err := server.ReadFrom(b); err != nil {
					return // closed
				}
				s.arrived.Add(1)
			}
		})
		senders.Go(func() {
			var b [8]byte
			for n := uint64(0); ; n++ {
				select {
				case <-done:
					return
				case <-time.After(300 * time.Microsecond): // a rate, nothing waits for it
				}
				if s.paused.Load() {
					continue
				}
				binary.BigEndian.PutUint64(b[:], n)
				if _, err := client.Write(b[:]); err == nil {
					s.sent.Add(1)
				}
			}
		})
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			close(done)
			senders.Wait()
			h.drained(streams)
			for _, c := range closers {
				_ = c()
			}
			readers.Wait()
		})
	}
	h.t.Cleanup(stop)
	return streams, stop
}

// drained waits for what is still on its way, as long as anything arrives.
func (h *host) drained(streams map[uint16]*stream) {
	deadline := time.Now().Add(3 * time.Second)
	for time.Now().Before(deadline) {
		missing := false
		for port, s := range streams {
			missing = missing || isOpen(port) && s.arrived.Load() < s.sent.Load()
		}
		if !missing {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// The ports of TestHostEndpointsUnderTraffic: open by plain policy, open without
// connection tracking while there is policy for it, and closed by either.
const (
	plainPort, rawPort      = 7001, 7002
	closedPort, rawShutPort = 7009, 7010
)

func isOpen(port uint16) bool { return port == plainPort || port == rawPort }

const (
	everyInterface = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: NAME, labels: {role: host}}
spec: {node: here, interfaceName: "*"}
`
	oneInterface = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: uplink, labels: {role: host}}
spec: {node: here, interfaceName: up0}
`
	plainYAML = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: plain}
spec:
  selector: role == 'host'
  order: 100
  types: [Ingress]
  ingress: [{action: Allow, protocol: UDP, destination: {ports: [7001, 7002]}}]
`
	rawYAML = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: raw}
spec:
  selector: role == 'host'
  order: 10
  doNotTrack: true
  applyOnForward: true
  types: [Ingress, Egress]
  ingress:
  - {action: Allow, protocol: UDP, destination: {ports: [7002]}}
  - {action: Deny, protocol: UDP, destination: {ports: [7010]}}
  egress:
  - {action: Allow, protocol: UDP, source: {ports: [7002]}}
`
)

// TestHostEndpointsUnderTraffic: agents are killed, ended and started, host endpoints
// come, go and get other names, policy without connection tracking comes and goes, and
// interfaces are renamed and made anew, while packets come to the host that its
// policy denies, and others that it allows. None of the former may arrive, and all of
// the latter must.
func TestHostEndpointsUnderTraffic(t *testing.T) {
	h := newHost(t)
	far := netip.MustParseAddr("203.0.113.7")
	outside := lab.HostConfig{Name: "far", Addrs: []netip.Addr{far}, Interface: "up0"}
	from, err := h.lab.AddHost(outside)
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) string { return strings.ReplaceAll(everyInterface, "NAME", name) }
	h.write("host.yaml", named("all"))
	h.write("plain.yaml", plainYAML)
	agent := h.startAgent()
	remove := func(name string) {
		if err := os.Remove(filepath.Join(h.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	streams, stop := h.hostStreams(from, plainPort, rawPort, closedPort, rawShutPort)
	traffic := func() { // some of each
		for port, s := range streams {
			if s.paused.Load() {
				continue
			}
			before := s.sent.Load()
			h.eventually("packets are sent", func() bool { return s.sent.Load() > before+30 })
			_ = port
		}
	}
	step := func(what string, change func()) {
		t.Helper()
		t.Log(what)
		change()
		traffic()
		for port, s := range streams {
			if n := s.arrived.Load(); !isOpen(port) && n > 0 {
				t.Errorf("%s: %d of %d packets to closed port %d arrived so far", what, n, s.sent.Load(), port)
			}
		}
	}
	inForce := func(object string, there bool) {
		h.eventually(object, func() bool {
			for _, e := range h.status().Endpoints {
				if e.Name == object {
					return there
				}
			}
			return !there
		})
	}
	restart := func(end func()) func() {
		return func() {
			end()
			agent.wait(t)
			traffic()
			agent = h.startAgent()
		}
	}
	step("at the beginning", func() {})
	step("an agent is killed", restart(func() { _ = agent.cmd.Process.Kill() }))
	step("an agent ends", restart(func() { _ = agent.cmd.Process.Signal(syscall.SIGTERM) }))
	step("an endpoint of one interface comes", func() { h.write("one.yaml", oneInterface); inForce("uplink", true) })
	step("policy without tracking comes", func() {
		h.write("raw.yaml", rawYAML)
		h.policyThere("raw", true)
	})
	step("an agent is killed with all of it", restart(func() { _ = agent.cmd.Process.Kill() }))
	step("the endpoint of all gets another name", func() { h.write("host.yaml", named("everything")); inForce("everything", true) })
	step("the endpoint of one interface goes", func() { remove("one.yaml"); inForce("uplink", false) })
	step("policy without tracking goes", func() { remove("raw.yaml"); h.policyThere("raw", false) })

	// An interface keeps neither its addresses nor its routes: what is allowed is not
	// counted meanwhile.
	for port, s := range streams {
		s.paused.Store(isOpen(port))
	}
	h.write("one.yaml", oneInterface)
	inForce("uplink", true)
	rename := func(was, is string) func() {
		return func() {
			if err := h.lab.Node().Do(func() error {
				link, err := netlink.LinkByName(was)
				if err != nil {
					return err
				}
				return netlink.LinkSetName(link, is)
			}); err != nil {
				t.Skipf("this kernel renames no interface that is up: %v", err)
			}
		}
	}
	step("an interface gets another name", rename("up0", "up9"))
	step("and its own again", rename("up9", "up0"))
	stop()
	for port, s := range streams {
		t.Logf("port %d: %d sent, %d arrived", port, s.sent.Load(), s.arrived.Load())
		if isOpen(port) && s.arrived.Load() != s.sent.Load() {
			t.Errorf("port %d: %d of %d allowed packets were lost", port, s.sent.Load()-s.arrived.Load(), s.sent.Load())
		}
	}

	// The interface goes and one of its name comes: from its first packet on it is
	// governed, whether the agent is there or not.
	for _, alive := range []bool{true, false} {
		if !alive {
			_ = agent.cmd.Process.Kill()
			agent.wait(t)
		}
		if err := h.lab.Remove(from); err != nil {
			t.Fatal(err)
		}
		if from, err = h.lab.AddHost(outside); err != nil {
			t.Fatal(err)
		}
		streams, stop = h.hostStreams(from, plainPort, closedPort)
		step("an interface that was made anew", func() {})
		stop()
		for port, s := range streams {
			switch n := s.arrived.Load(); {
			case isOpen(port) && n != s.sent.Load():
				t.Errorf("port %d behind a new interface: %d of %d arrived", port, n, s.sent.Load())
			case !isOpen(port) && n > 0:
				t.Errorf("port %d behind a new interface is open", port)
			}
		}
	}
}

// policyThere waits until a policy is in force, or is no more.
func (h *host) policyThere(name string, there bool) {
	h.t.Helper()
	h.eventually("policy "+name, func() bool {
		for _, o := range h.status().Objects {
			if o.Name == name {
				return there && o.State == "in force"
			}
		}
		return !there
	})
}
