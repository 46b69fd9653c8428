package podstart

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/internal/cni"
)

// Status says how it goes with the CNI plugin.
type Status struct {
	// Waiting is how many pods are held up at this moment, Pods how many were
	// started by way of the plugin and have not ended.
	Waiting int                `json:"waiting"`
	Pods    int                `json:"pods"`
	Install *cni.InstallStatus `json:"install,omitempty"`
}

// Status implements component.StatusReporter.
func (c *Component) Status() (field string, content any) {
	server := c.server.Load()
	if server == nil {
		return "cni", nil
	}
	st := &Status{Waiting: server.Waiting(), Pods: len(server.Records())}
	if c.cfg.Installer != nil {
		install := c.cfg.Installer.Status()
		st.Install = &install
	}
	return "cni", st
}

// Unhealthy implements component.HealthChecker.
func (c *Component) Unhealthy() string {
	if c.broken.Load() {
		return "the CNI plugin is not answered any more"
	}
	return ""
}

// newMetrics makes what /metrics says of the CNI plugin, if it is answered.
func newMetrics(c *Component) *prometheus.HistogramVec {
	if c.cfg.CNI == nil {
		return nil
	}
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tierwall_cni_seconds", Help: "Time of the answers to the CNI plugin, by operation and result.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // 1 ms to 33 s
	}, []string{"operation", "result"})
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tierwall_cni_waiting", Help: "Pods held up at this moment until their policy is in the kernel.",
	}, func() float64 {
		if server := c.server.Load(); server != nil {
			return float64(server.Waiting())
		}
		return 0
	})
	c.env.Metrics.MustRegister(took, waiting)
	return took
}

func (c *Component) observe(op string, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	c.metrics.WithLabelValues(op, result).Observe(took.Seconds())
}
