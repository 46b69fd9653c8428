package dnslearner

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/internal/agent/component"
)

// slowReader is a client that reads nothing until it is told to.
type slowReader struct {
	*httptest.ResponseRecorder
	asked, read chan struct{}
}

func (s *slowReader) Write(b []byte) (int, error) {
	close(s.asked)
	<-s.read
	return s.ResponseRecorder.Write(b)
}

// TestOneIsServed: while one client is told of all names, others wait for their turn.
func TestOneIsServed(t *testing.T) {
	c := New(component.Env{RunDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}, &Config{}).(*Component)
	slow := &slowReader{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	ask := httptest.NewRequest(http.MethodGet, servedPath, nil)
	var all sync.WaitGroup
	all.Go(func() { c.ServeHTTP(slow, ask) })
	<-slow.asked
	gone, leave := context.WithCancel(t.Context())
	leave()
	given := httptest.NewRecorder()
	if c.ServeHTTP(given, ask.WithContext(gone)); given.Code != http.StatusServiceUnavailable {
		t.Errorf("beside another: %d", given.Code)
	}
	waiting := httptest.NewRecorder()
	all.Go(func() { c.ServeHTTP(waiting, ask) })
	close(slow.read)
	all.Wait()
	if slow.Code != http.StatusOK || waiting.Code != http.StatusOK {
		t.Errorf("one after the other: %d, %d", slow.Code, waiting.Code)
	}
}
