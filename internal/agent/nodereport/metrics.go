package nodereport

import "github.com/prometheus/client_golang/prometheus"

// newMetrics registers what /metrics says of reports, and returns their counter by result.
func newMetrics(c *Component) *prometheus.CounterVec {
	results := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tierwall_reports_total", Help: "Reports to the cluster by result.",
	}, []string{"result"})
	results.WithLabelValues("ok")
	results.WithLabelValues("error")
	current := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tierwall_report_current", Help: "1 while the report to the cluster could be written, else 0.",
	}, func() float64 {
		if c.status().Error == "" {
			return 1
		}
		return 0
	})
	c.env.Metrics.MustRegister(results, current)
	return results
}

func resultOf(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
