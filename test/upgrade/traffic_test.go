package upgrade

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// isReady asks the node's agent.
func isReady(ctx context.Context, l *lab.Lab) bool {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: l.Node().DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+readyAddr+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// serveDNS answers any question with the site's address.
func serveDNS(t *testing.T, l *lab.Lab) {
	t.Helper()
	conn, err := l.Host("dns").ListenPacket("udp", net.JoinHostPort(dnsAddr.String(), "53"))
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		answer.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 3600},
			A:   siteAddr.AsSlice(),
		}}
		_ = w.WriteMsg(answer) // the test sees it
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ActivateAndServe() // it ends when it is shut down
	}()
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-done
	})
}

func askSite(t *testing.T, conn net.Conn) {
	t.Helper()
	c := &dns.Conn{Conn: conn}
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMsg(new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadMsg(); err != nil {
		t.Fatal(err)
	}
}

// flood sends packets that policy denies as fast as it goes, and counts what arrives.
type flood struct {
	name          string
	sent, arrived atomic.Int64
	close         func()
}

func newFlood(t *testing.T, l *lab.Lab, from, to netip.Addr, port uint16) *flood {
	t.Helper()
	addr := netip.AddrPortFrom(to, port).String()
	server, err := l.Owner(to).ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	client, err := l.Owner(from).DialContext(t.Context(), "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &flood{name: from.String() + " -> " + addr}
	var wait sync.WaitGroup
	stop := make(chan struct{})
	wait.Go(func() {
		for tick := time.NewTicker(200 * time.Microsecond); ; <-tick.C {
			select {
			case <-stop:
				tick.Stop()
				return
			default:
			}
			if _, err := client.Write([]byte("x")); err == nil {
				f.sent.Add(1)
			}
		}
	})
	wait.Go(func() {
		for buf := make([]byte, 16); ; f.arrived.Add(1) {
			if _, _, err := server.ReadFrom(buf); err != nil {
				return
			}
		}
	})
	f.close = sync.OnceFunc(func() {
		close(stop)
		_ = client.Close()
		_ = server.Close()
		wait.Wait()
	})
	t.Cleanup(f.close)
	return f
}

// advance waits until n more packets were sent.
func (f *flood) advance(t *testing.T, n int64) { advance(t, f.name, &f.sent, n) }

func (f *flood) end(t *testing.T) {
	t.Helper()
	f.close()
	t.Logf("denied %s: %d packets sent, %d arrived", f.name, f.sent.Load(), f.arrived.Load())
	if f.arrived.Load() > 0 {
		t.Errorf("%d of %d packets %s arrived, which policy denies", f.arrived.Load(), f.sent.Load(), f.name)
	}
}

// dialer makes connections that policy allows, one after the other.
type dialer struct {
	name         string
	made, failed atomic.Int64
	last         atomic.Pointer[string] // why the last one failed
	close        func()
}

func newDialer(t *testing.T, l *lab.Lab, from, to netip.Addr, port uint16) *dialer {
	t.Helper()
	if err := l.Owner(to).Serve(policy.TCP, port); err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(to, port).String()
	d := &dialer{name: from.String() + " -> " + addr}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		for tick := time.NewTicker(2 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			c, err := l.Owner(from).DialContext(ctx, "tcp", addr)
			switch {
			case err == nil:
				_ = c.(*net.TCPConn).SetLinger(0) // so that its port can be used again
				_ = c.Close()
				d.made.Add(1)
			case ctx.Err() == nil:
				text := err.Error()
				d.last.Store(&text)
				d.failed.Add(1)
			}
		}
	})
	d.close = func() { cancel(); wait.Wait() }
	t.Cleanup(d.close)
	return d
}

func (d *dialer) advance(t *testing.T, n int64) { advance(t, d.name, &d.made, n) }

func (d *dialer) end(t *testing.T) {
	t.Helper()
	d.close()
	t.Logf("allowed %s: %d connections made, %d failed", d.name, d.made.Load(), d.failed.Load())
	if d.failed.Load() > 0 {
		t.Errorf("%d connections %s failed, which policy allows, the last: %s", d.failed.Load(), d.name, *d.last.Load())
	}
}

func advance(t *testing.T, name string, counter *atomic.Int64, n int64) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for goal := counter.Load() + n; counter.Load() < goal; time.Sleep(time.Millisecond) { // until there was traffic
		if time.Now().After(deadline) {
			t.Fatalf("%s: no traffic", name)
		}
	}
}
