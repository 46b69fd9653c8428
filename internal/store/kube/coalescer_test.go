package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// TestBacklog checks that a stream is read no further while its reader is behind,
// and that nothing is lost.
func TestBacklog(t *testing.T) {
	co, st := synced()
	const many = 3 * podBacklog
	if n := play(t, co, st, newRecording(many)); n != many {
		t.Fatalf("%d objects, want %d", n, many)
	}
	co, st = synced()
	ctx, cancel := context.WithCancel(context.Background())
	co.phase = filling
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := range many {
			o := object{identity{"web", itoa(i), "1", false}, 1, func() built { return built{object: i} }}
			if ctx.Err() != nil {
				return
			}
			co.onUpdate(ctx, st, o, time.Now())
		}
	}()
	backlog := func() int {
		co.mu.Lock()
		defer co.mu.Unlock()
		return len(st.log)
	}
	for backlog() < podBacklog {
		<-co.wake
	}
	for range 5 {
		co.take(time.Now())
		if n := backlog(); n > podBacklog {
			t.Errorf("%d changes wait", n)
		}
	}
	for backlog() < podBacklog {
		<-co.wake
	}
	cancel() // ends who waits
	<-ended
}

// TestCollapse checks what is left of several changes of an object.
func TestCollapse(t *testing.T) {
	key := func(name string) store.Resource { return store.Resource{Key: policy.Key{Name: name}} }
	put := func(name string, version int, fresh bool) change {
		r := key(name)
		r.Object = version
		return change{Resource: r, fresh: fresh}
	}
	gone := func(name string) change { return change{Resource: key(name)} }
	for _, tt := range []struct {
		name     string
		in, want []change
	}{
		{"nothing", nil, nil},
		{"different ones", []change{put("a", 1, true), gone("b"), put("c", 1, false)}, []change{put("a", 1, true), gone("b"), put("c", 1, false)}},
		{"the last one stays in its place", []change{put("a", 1, false), put("b", 1, false), put("a", 2, false)}, []change{put("b", 1, false), put("a", 2, false)}},
		{"came and went", []change{put("a", 1, true), gone("a")}, []change{}},
		{"came, changed and went", []change{put("a", 1, true), put("a", 2, false), gone("a"), put("b", 1, true)}, []change{put("b", 1, true)}},
		{"went, came and went", []change{gone("a"), put("a", 1, true), gone("a")}, []change{gone("a")}},
		{"came, went and came", []change{put("a", 1, true), gone("a"), put("a", 2, true)}, []change{put("a", 2, true)}},
		{"went and came", []change{gone("a"), put("a", 2, true)}, []change{put("a", 2, false)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := collapse(tt.in)
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(change{}), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestReason checks that what differs from one try to the next is not said.
func TestReason(t *testing.T) {
	wrapped := func(err error) error { return &url.Error{Op: "Get", URL: "https://x/api", Err: err} }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{wrapped(&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{Port: 6443}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}), "connection refused"},
		{fmt.Errorf("x: %w", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}), "connection reset by peer"},
		{wrapped(io.EOF), "it ends connections"},
		{io.ErrUnexpectedEOF, "it ends connections"},
		{wrapped(context.DeadlineExceeded), "it does not answer"},
		{wrapped(&net.DNSError{Err: "no such host", Name: "api.example.com", Server: "10.0.0.10:53", IsNotFound: true}), "no such host (api.example.com)"},
		{errNoAnswer, "no answer to a request"},
		{wrapped(errors.New("x509: certificate has expired")), "x509: certificate has expired"},
	} {
		if got := reason(tt.err); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestDefaults checks that what New gives is what Watch is documented to be.
func TestDefaults(t *testing.T) {
	s, err := New(newFakeAPI(t).config(), Options{})
	if err != nil || s.String() != "kube" {
		t.Errorf("%v, %v", s, err)
	}
}
