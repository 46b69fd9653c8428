package stage

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

// Echoes is when an address answered for the first and for the last time.
type Echoes struct{ First, Last time.Time }

// Pinger sends echo requests, and keeps who has answered.
type Pinger struct {
	stop func()
	mu   sync.Mutex
	seen map[netip.Addr]Echoes
}

// Of says when an address answered, and whether it did.
func (p *Pinger) Of(a netip.Addr) (Echoes, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.seen[a]
	return e, ok
}

// Await waits until an address has answered.
func (p *Pinger) Await(t testing.TB, a netip.Addr) Echoes {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	var e Echoes
	err := Eventually(ctx, func(context.Context) error {
		var ok bool
		if e, ok = p.Of(a); !ok {
			return fmt.Errorf("%s has not answered", a)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// AwaitSilence waits until an address has not answered for half a second.
func (p *Pinger) AwaitSilence(t testing.TB, a netip.Addr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	err := Eventually(ctx, func(context.Context) error {
		if e, ok := p.Of(a); ok && time.Since(e.Last) < 500*time.Millisecond {
			return fmt.Errorf("%s still answers", a)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Stop ends it. What was seen stays.
func (p *Pinger) Stop() { p.stop() }

func (p *Pinger) answered(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.seen[a]
	e.Last = time.Now()
	if e.First.IsZero() {
		e.First = e.Last
	}
	p.seen[a] = e
}

// Ping sends an echo request to each address every so often, until the test ends or it is stopped: a pod answers as soon
// as it has its link, before anything in it runs.
func Ping(t testing.TB, from Place, to []netip.Addr, every time.Duration) *Pinger {
	t.Helper()
	p := &Pinger{seen: map[netip.Addr]Echoes{}}
	var conn net.PacketConn
	err := from.Do(func() (err error) {
		conn, err = net.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const request, reply = 8, 0
	id := uint16(os.Getpid())
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() {
		b := make([]byte, 2048)
		for {
			n, who, err := conn.ReadFrom(b)
			if ctx.Err() != nil {
				return
			}
			if err != nil || n < 8 || b[0] != reply || binary.BigEndian.Uint16(b[4:]) != id {
				continue
			}
			if a, err := netip.ParseAddr(who.String()); err == nil {
				p.answered(a)
			}
		}
	})
	both.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		b := []byte{request, 0, 0, 0, byte(id >> 8), byte(id), 0, 1}
		sum := uint32(request)<<8 + uint32(id) + 1
		binary.BigEndian.PutUint16(b[2:], ^uint16(sum&0xffff+sum>>16))
		for ctx.Err() == nil {
			for _, a := range to {
				_, _ = conn.WriteTo(b, &net.IPAddr{IP: a.AsSlice()})
			}
			<-tick.C
		}
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		_ = conn.Close()
		both.Wait()
	})
	t.Cleanup(p.stop)
	return p
}
