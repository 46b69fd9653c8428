package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"

	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// BenchmarkConnections measures TCP connections per second, one after the other,
// from one pod through the node to another: without tables, with the tables of
// one policy for each pod, with those of 10,000 policies, and with 10,000 plain
// rules in a row for comparison. All four take turns in one run, since only their
// ratios say anything; the figures are medians of the rounds.
func BenchmarkConnections(b *testing.B) {
	const policies = 10_000
	setups := []struct {
		name  string
		setUp func(testing.TB, *lab.Lab)
	}{
		{"none", func(testing.TB, *lab.Lab) {}},
		{"1", func(t testing.TB, l *lab.Lab) { apply(t, newDataplane(t, nodeNS(l)), connTables(2)) }},
		{"10000", func(t testing.TB, l *lab.Lab) { apply(t, newDataplane(t, nodeNS(l)), connTables(policies)) }},
		{"10000rules", linearRules(policies)},
	}
	var ends []*connEnds
	for _, s := range setups {
		l := newLab(b)
		addHost(b, l, "a", localAddr(0).String())
		addHost(b, l, "b", localAddr(1).String())
		s.setUp(b, l)
		ends = append(ends, newConnEnds(b, l))
	}
	var names []string
	for _, s := range setups {
		names = append(names, s.name)
	}
	measureInTurns(b, names, ends)
}

// measureInTurns measures the ends in turns, as only the ratios of what ran side by side say
// anything, and reports for each name the median of its connections per second, and of the
// third's rate in percent of the second's.
func measureInTurns(b *testing.B, names []string, ends []*connEnds) {
	const round = 500 // connections
	rates := make([][]float64, len(ends))
	looping := true
	for i := 0; looping || i < 20; i++ {
		looping = looping && b.Loop() // which may not be asked again once it said no
		for k := range ends {
			// Not always in the same order: what runs beside this may have a rhythm.
			j := (i + k) % len(ends)
			rates[j] = append(rates[j], ends[j].measure(b, round))
		}
	}
	median := func(list []float64) float64 { return slices.Sorted(slices.Values(list))[len(list)/2] }
	for j, name := range names {
		b.ReportMetric(median(rates[j]), "conn/s:"+name)
	}
	ratios := make([]float64, len(rates[1]))
	for i := range ratios {
		ratios[i] = 100 * rates[2][i] / rates[1][i] // of one round: side by side in time
	}
	b.ReportMetric(median(ratios), "%of1policy")
	b.ReportMetric(0, "ns/op")
}

const connPort = 8080

// connTables returns tables in which pod 0 may reach pod 1 at connPort by one
// policy at each end, the last ones of all, among as many policies.
func connTables(policies int) *dataplane.Delta {
	locals := min(policies, 110)
	d := synthetic(locals, policies, 2*policies)
	egress, ingress := policies-1, policies-1
	for egress%locals != 0 {
		egress--
	}
	for ingress%locals != 1 {
		ingress--
	}
	for _, row := range []dataplane.RowID{dataplane.RowID(3 + 2*egress), dataplane.RowID(3 + 2*ingress + 1)} {
		old := d.AddRows[row]
		d.AddRows[row] = portRow(old[2].Decider, old[0].Decider, connPort)
	}
	d.SetAddrs[localAddr(1)] = dataplane.ClassID(3 + egress)
	d.SetAddrs[localAddr(0)] = dataplane.ClassID(3 + ingress)
	return d
}

// linearRules is what a firewall without classes would have: a rule per policy.
func linearRules(n int) func(testing.TB, *lab.Lab) {
	return func(t testing.TB, l *lab.Lab) {
		conn, err := nfnl.Dial(nodeNS(l))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		out := codec.NewBatch(inet("linear"))
		out.Replace = true
		rules := []codec.Rule{when(hasState(codec.StateEstablished|codec.StateRelated), accept)}
		for i := range n {
			a := remoteAddr(i)
			rules = append(rules, when(join(isFamily(0), []codec.Expr{address(0, source), is(a.AsSlice()...)}), drop))
		}
		out.AddBaseChain(codec.ChainSpec{Name: forwardChain, Base: true, Hook: codec.HookForward, Priority: priority}, rules)
		var w nfnl.Writer
		out.Write(&w)
		if err := conn.Do(&w, uint32(w.Messages()-1), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// connEnds are a client and a server of a lab.
type connEnds struct {
	lab *lab.Lab
	to  netip.AddrPort
}

func newConnEnds(b *testing.B, l *lab.Lab) *connEnds {
	e := &connEnds{l, netip.AddrPortFrom(localAddr(1), connPort)}
	listener, err := l.Host("b").Listen("tcp", e.to.String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_ = c.Close()
			}
		}
	}()
	return e
}

// measure makes connections one after the other, and gives how many in a second.
func (e *connEnds) measure(b *testing.B, n int) float64 {
	b.Helper()
	e.forget(b)
	var took time.Duration
	err := e.lab.Host("a").Do(func() error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		start := time.Now()
		for range n {
			if err := connect(e.to); err != nil {
				return err
			}
		}
		took = time.Since(start)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64(n) / took.Seconds()
}

// connect makes a connection and resets it, so that no port stays taken.
func connect(to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return errors.Join(fmt.Errorf("connect: %w", err), unix.Close(fd))
	}
	return unix.Close(fd)
}

// forget empties the node's list of connections, so that it does not overflow.
func (e *connEnds) forget(b *testing.B) {
	b.Helper()
	const deleteConnections = 2
	conn, err := nfnl.Dial(nodeNS(e.lab))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_CTNETLINK, deleteConnections, unix.NLM_F_ACK, unix.AF_UNSPEC)
	w.End()
	if err := conn.Do(&w, 1, nil); err != nil {
		b.Fatal(err)
	}
}

// TestConnTables checks the tables of the benchmark: what it measures is allowed.
func TestConnTables(t *testing.T) {
	for _, n := range []int{2, 500} {
		s := dataplane.NewState()
		if err := s.Apply(connTables(n)); err != nil {
			t.Fatal(err)
		}
		f := flowTo(localAddr(1), connPort)
		f.Src = localAddr(0)
		if e, i := s.Decide(f); !e.Governed || !e.Allow || !i.Governed || !i.Allow {
			t.Errorf("%d policies: %v %v", n, e, i)
		}
	}
}
