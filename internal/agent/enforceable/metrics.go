package enforceable

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/policy"
)

var (
	endpointsDesc = prometheus.NewDesc("tierwall_endpoints_not_enforceable",
		"Local endpoints for which policy is not in force although the kernel holds it, by reason; see status. One may have several.", []string{"reason"}, nil)
	waysDesc = prometheus.NewDesc("tierwall_not_enforced",
		"Ways on this host by which packets of local endpoints bypass policy; see status.", nil, nil)
)

// collector reads what is asked for at the moment of a scrape.
type collector struct{ c *Component }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- endpointsDesc
	ch <- waysDesc
}

// Collect implements prometheus.Collector. Each cause is there, so that one that appears is a change of its number.
func (m collector) Collect(ch chan<- prometheus.Metric) {
	findings := m.c.Findings()
	ch <- prometheus.MustNewConstMetric(waysDesc, prometheus.GaugeValue, float64(len(findings)))
	for _, cause := range Causes() {
		keys := map[policy.Key]bool{}
		for _, f := range findings {
			if f.Cause == cause {
				for _, key := range f.Endpoints {
					keys[key] = true
				}
			}
		}
		ch <- prometheus.MustNewConstMetric(endpointsDesc, prometheus.GaugeValue, float64(len(keys)), string(cause))
	}
}
