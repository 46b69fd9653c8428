package cni

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// TestAddIsHeld is what it is all about: an ADD is answered when the policy is in force.
func TestAddIsHeld(t *testing.T) {
	k := newTables(false)
	s := startServer(t, testSocket(t), k)
	p := testPod("c1", "a", "10.0.0.1", "fd00::1")
	done := make(chan error)
	go func() { done <- s.add(t, p) }()
	k.waitBegun(p.PodID)
	if s.Waiting() != 1 || len(s.Records()) != 0 {
		t.Errorf("%d wait, records %v", s.Waiting(), s.records())
	}
	select {
	case err := <-done:
		t.Fatalf("answered before the policy was in force: %v", err)
	default:
	}
	k.release(p.PodID)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.want(t, k, "web/a c1")
	if diff := cmp.Diff(p, k.told[p.PodID], cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-asked +told:\n%s", diff)
	}
	info, err := os.Stat(s.socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the socket %v, %v", info.Mode(), err)
	}
	// CHECK agrees, and sees what is different.
	if err := s.ask(t, wire.Request{Op: wire.Check, Pod: &p}); err != nil {
		t.Error(err)
	}
	for want, pod := range map[string]Pod{
		"there is no record of pod web/a with sandbox c2":                          testPod("c2", "a", "10.0.0.1"),
		"sandbox c1 is on record for pod web/a, not web/b":                         testPod("c1", "b", "10.0.0.1"),
		"pod web/a is on record with addresses [10.0.0.1 fd00::1], not [10.0.0.2]": testPod("c1", "a", "10.0.0.2"),
	} {
		if err := s.ask(t, wire.Request{Op: wire.Check, Pod: &pod}); err == nil || err.Error() != want {
			t.Errorf("CHECK says %v, want %s", err, want)
		}
	}
	for range 2 { // the second time there is nothing to end
		if err := s.ask(t, wire.Request{Op: wire.Del, Attachment: &p.Attachment}); err != nil {
			t.Fatal(err)
		}
	}
	s.want(t, k)
	if s.Waiting() != 0 {
		t.Errorf("%d wait", s.Waiting())
	}
}

// TestAddFails holds that nothing stays of an ADD that fails, in whatever way.
func TestAddFails(t *testing.T) {
	p := testPod("c1", "a", "10.0.0.1")
	t.Run("not in time", func(t *testing.T) {
		k := newTables(false)
		s := startServer(t, testSocket(t), k)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		err := wire.Ask(ctx, s.socket, wire.Request{Op: wire.Add, Pod: &p})
		refusal, ok := errors.AsType[*wire.Refusal](err)
		if !ok || refusal.Kind != wire.Late || !strings.Contains(refusal.Message, errNotReady.Error()) {
			t.Errorf("%#v", err)
		}
		s.want(t, k)
	})
	t.Run("not in time, but kept", func(t *testing.T) {
		k := newTables(false)
		s := startServer(t, testSocket(t), k)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		err := wire.Ask(ctx, s.socket, wire.Request{Op: wire.Add, Pod: &p, Keep: true})
		if refusal, ok := errors.AsType[*wire.Refusal](err); !ok || refusal.Kind != wire.Late {
			t.Errorf("%#v", err)
		}
		s.want(t, k, "web/a c1")
		if !s.Records()[0].Late {
			t.Error("the record does not say that it was late")
		}
	})
	t.Run("given up", func(t *testing.T) {
		for _, keep := range []bool{false, true} {
			k := newTables(false)
			gone := make(chan error, 1)
			s := startServer(t, testSocket(t), k, func(s *Server) {
				s.cfg.Observe = func(_ string, _ time.Duration, err error) { gone <- err }
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { k.waitBegun(p.PodID); cancel() }()
			_ = wire.Ask(ctx, s.socket, wire.Request{Op: wire.Add, Pod: &p, Keep: keep})
			if err := <-gone; !errors.Is(err, errHungUp) {
				t.Errorf("%v", err)
			}
			s.want(t, k)
		}
	})
	t.Run("ended meanwhile", func(t *testing.T) {
		k := newTables(false)
		s := startServer(t, testSocket(t), k)
		done := make(chan error)
		go func() { done <- s.add(t, p) }()
		k.waitBegun(p.PodID)
		if err := s.ask(t, wire.Request{Op: wire.Del, Attachment: &p.Attachment}); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), errSuperseded.Error()) {
			t.Errorf("%v", err)
		}
		s.want(t, k)
	})
	t.Run("no room for the record", func(t *testing.T) {
		k := newTables(true)
		s := startServer(t, testSocket(t), k)
		if err := os.RemoveAll(string(s.dir)); err != nil {
			t.Fatal(err)
		}
		if err := s.add(t, p); err == nil {
			t.Error("it was added without a record")
		}
		if err := s.dir.Make(); err != nil {
			t.Fatal(err)
		}
		s.want(t, k)
	})
}

// TestAddAgain holds that the last request for a sandbox counts, and that one that was given up
// takes nothing from it.
func TestAddAgain(t *testing.T) {
	k := newTables(false)
	s := startServer(t, testSocket(t), k)
	p := testPod("c1", "a", "10.0.0.1")
	first := make(chan error)
	go func() { first <- s.add(t, p) }()
	k.waitBegun(p.PodID)
	second := make(chan error)
	go func() { second <- s.add(t, p) }()
	if err := <-first; err == nil {
		t.Error("the first was answered as if in force")
	}
	k.release(p.PodID)
	if err := <-second; err != nil {
		t.Error(err)
	}
	s.want(t, k, "web/a c1")
}

// TestAddressMoves holds that an address belongs to the pod that was given it last.
func TestAddressMoves(t *testing.T) {
	k := newTables(true)
	s := startServer(t, testSocket(t), k)
	for _, p := range []Pod{
		testPod("c1", "a", "10.0.0.1"),
		testPod("c2", "b", "10.0.0.2", "fd00::2"),
		testPod("c3", "a", "10.0.0.3"), // another sandbox of a: no address of it moves
		testPod("c4", "c", "fd00::2"),
	} {
		if err := s.add(t, p); err != nil {
			t.Fatal(err)
		}
	}
	s.want(t, k, "web/a c1", "web/a c3", "web/c c4")
	// The end of the first sandbox of a leaves the second.
	if err := s.ask(t, wire.Request{Op: wire.Del, Attachment: &wire.Attachment{Container: "c1", Interface: "eth0"}}); err != nil {
		t.Fatal(err)
	}
	s.want(t, k, "web/a c3", "web/c c4")
}

// TestRestart holds that the next agent knows the pods of the one before, and that plugins
// that wait turn to it.
func TestRestart(t *testing.T) {
	socket := testSocket(t)
	before := newTables(false)
	s := startServer(t, socket, before)
	a, b, c := testPod("c1", "a", "10.0.0.1"), testPod("c2", "b", "10.0.0.2"), testPod("c3", "c", "10.0.0.3")
	before.release(a.PodID)
	if err := s.add(t, a); err != nil {
		t.Fatal(err)
	}
	if err := before.add(s, t, c); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		waiting <- wire.AskUntil(ctx, socket, wire.Request{Op: wire.Add, Pod: &b})
	}()
	before.waitBegun(b.PodID)
	s.stop()
	// While there is no agent, a plugin removes the record of a pod that ends.
	if err := s.dir.Remove(c.Attachment); err != nil {
		t.Fatal(err)
	}
	after := newTables(true)
	next := startServer(t, socket, after)
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"web/a c1", "web/b c2"}, next.records()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func (k *tables) add(s *testServer, t *testing.T, p Pod) error {
	k.release(p.PodID)
	return s.add(t, p)
}

// TestSweep holds that what nobody told the server is found out.
func TestSweep(t *testing.T) {
	k := newTables(true)
	var mu sync.Mutex
	links := map[int]bool{1: true, 2: true, 3: true}
	s := startServer(t, testSocket(t), k, func(s *Server) {
		s.pods.linkExists = func(i int) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			if i == 3 {
				return false, errors.New("the kernel does not tell")
			}
			return links[i], nil
		}
	})
	for i, name := range []string{"a", "b", "c", "d"} {
		p := testPod("c"+name, name, fmt.Sprintf("10.0.0.%d", i+1))
		if i > 0 {
			p.HostInterface, p.HostIndex = fmt.Sprintf("veth%d", i), i
		}
		if err := s.add(t, p); err != nil {
			t.Fatal(err)
		}
	}
	s.pods.sweep(t.Context())
	s.want(t, k, "web/a ca", "web/b cb", "web/c cc", "web/d cd")
	// The interface of d could not be seen when d was added: its absence says nothing.
	if r := s.Records()[3]; r.HostIndex != 0 {
		t.Errorf("%+v", r)
	}
	mu.Lock()
	delete(links, 1)
	mu.Unlock()
	if err := s.dir.Remove(testPod("ca", "a").Attachment); err != nil {
		t.Fatal(err)
	}
	// A plugin has let one pod start without the agent, and one whose address is another's.
	for _, p := range []Pod{testPod("ce", "e", "10.0.0.9"), testPod("cf", "f", "10.0.0.3")} {
		if err := s.dir.Write(Record{Pod: p, Since: time.Now(), Late: true}); err != nil {
			t.Fatal(err)
		}
	}
	s.pods.sweep(t.Context())
	if diff := cmp.Diff([]string{"web/c cc", "web/d cd", "web/e ce"}, k.holds()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"web/c cc", "web/d cd", "web/e ce"}, s.records()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// The directory is gone: all have ended, as far as anyone can tell, and it is made anew.
	if err := os.RemoveAll(string(s.dir)); err != nil {
		t.Fatal(err)
	}
	s.pods.sweep(t.Context())
	s.pods.sweep(t.Context())
	s.want(t, k)
}

// TestGC holds that GC and Prune forget those, and only those, that are gone.
func TestGC(t *testing.T) {
	k := newTables(true)
	s := startServer(t, testSocket(t), k)
	for i, name := range []string{"a", "b", "c", "d"} {
		p := testPod("c"+name, name, fmt.Sprintf("10.0.0.%d", i+1))
		if name == "d" {
			p.Network = "other"
		}
		if err := s.add(t, p); err != nil {
			t.Fatal(err)
		}
	}
	err := s.ask(t, wire.Request{Op: wire.GC, Network: "k8s", Valid: []wire.Attachment{{Container: "ca", Interface: "eth0"}, {Container: "cb", Interface: "net1"}}})
	if err != nil {
		t.Fatal(err)
	}
	s.want(t, k, "web/a ca", "web/d cd")
	if n := s.Prune(t.Context(), func(r Record) bool { return r.Name == "d" }); n != 1 {
		t.Errorf("%d pruned", n)
	}
	s.want(t, k, "web/a ca")
}

// TestListen holds what a socket replaces, and what not.
func TestListen(t *testing.T) {
	socket := testSocket(t)
	for range 2 { // the second one finds the first one's
		s, err := Listen(ServerConfig{Socket: socket, Enforcer: newTables(true), Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := wire.Ask(t.Context(), socket, wire.Request{Op: wire.Status}); !wire.Unreachable(err) {
		t.Errorf("after Close: %v", err)
	}
	file := testSocket(t)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(ServerConfig{Socket: file, Log: testLog(t)}); err == nil {
		t.Error("a file was replaced by a socket")
	}
}
