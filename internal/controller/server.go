package controller

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/tierwall/tierwall/internal/serve"
)

// listen opens the address for metrics and health; nil for an empty one.
func listen(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("metrics address %q: expected ADDRESS:PORT, such as 127.0.0.1:9096", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("metrics address: %w", err)
	}
	return l, nil
}

// leaseTolerance is how long a Lease may be overdue before the process is called
// unhealthy.
const leaseTolerance = 20 * time.Second

// serve answers requests until stop is called.
func (c *controller) serve(l net.Listener) (stop func()) {
	c.cfg.Log.Info("serving metrics and health", "address", l.Addr().String())
	return serve.HTTP(l, c.handler(), c.cfg.Log)
}

func (c *controller) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.metrics.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // what can be read is served
	}))
	mux.HandleFunc("GET /healthz", answer(c.unhealthy))
	mux.HandleFunc("GET /readyz", answer(c.notReady))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "tierwall controller\n\n/metrics  for Prometheus\n/healthz  the controller runs\n"+
			"/readyz   it leads and has read everything, or waits to lead\n")
	})
	return mux
}

// answer says ok unless there is a reason not to.
func answer(why func() string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if problem := why(); problem != "" {
			http.Error(w, problem, http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// unhealthy says why the process should be started anew; empty if it should not.
func (c *controller) unhealthy() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.elected != nil {
		if err := c.elected(leaseTolerance); err != nil {
			return "the Lease: " + err.Error()
		}
	}
	return ""
}

// notReady says why this controller neither leads nor waits to; empty if it does.
func (c *controller) notReady() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.leader != nil && !c.leader.isReady():
		return "not everything has been read yet"
	case c.leader == nil && !c.seen:
		return "the API server has not said yet who leads"
	}
	return ""
}

// noteLeader notes that it is known who leads.
func (c *controller) noteLeader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = true
}

func (c *controller) setElected(check func(time.Duration) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.elected = check
}
