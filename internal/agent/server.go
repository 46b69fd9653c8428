package agent

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/serve"
)

// listen opens the address for metrics, health and status; nil for an empty
// one. There is neither encryption nor authentication, so that it must be a
// loopback address.
func listen(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("metrics address %q: expected ADDRESS:PORT, such as 127.0.0.1:9097", addr)
	}
	if host != "localhost" {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("metrics address %q: it is not a loopback address, and what is served there has neither encryption nor authentication: use 127.0.0.1 or ::1", addr)
		}
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("metrics address: %w", err)
	}
	return l, nil
}

// serve answers requests until stop is called.
func (a *agent) serve(l net.Listener) (stop func()) {
	a.log.Info("serving metrics, health and status", "address", l.Addr().String())
	return serve.HTTP(l, localOnly(a.handler()), a.log)
}

func (a *agent) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // what can be read is served
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if why := a.unhealthy(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := a.unready(); why != "" {
			why = strings.Join(append([]string{why}, a.cfg.Waiting.texts()...), "\n")
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, strings.Join(append([]string{"ok"}, a.invalidLines()...), "\n"))
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		content, err := a.statusJSON()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(content) // an error is the client's, who has gone
	})
	index := "tierwall agent\n\n/status   what is in force, and what is not and why (JSON)\n"
	for _, c := range a.components {
		if s, ok := c.(component.Server); ok {
			path, what := s.Path()
			mux.Handle("GET "+path, s)
			index += fmt.Sprintf("%-8s  %s\n", path, what)
		}
	}
	index += "/metrics  for Prometheus\n/healthz  the agent runs\n/readyz   the kernel holds the policy that was read, and that is not too old; what is invalid is listed\n"
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, index) })
	return mux
}

// localOnly refuses requests that name another host than this one: pages of the
// web must not read the agent through a browser that runs here.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			http.Error(w, "the agent answers at localhost only", http.StatusForbidden)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
