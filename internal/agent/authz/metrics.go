package authz

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/internal/extauthz"
)

var (
	authzDesc = prometheus.NewDesc("tierwall_ext_authz_requests_total",
		"Requests that proxies asked about, by verdict; refused are those that were denied without policy being asked.", []string{"verdict"}, nil)
	authzRefusedDesc = prometheus.NewDesc("tierwall_ext_authz_refused_total",
		"Requests that were denied without policy being asked, by why: not-ready, unknown-destination, identity, malformed.", []string{"reason"}, nil)
	authzUnreadableDesc = prometheus.NewDesc("tierwall_ext_authz_unreadable_total",
		"Messages of proxies that were no question; they are answered by an error.", nil, nil)
	authzConnectionsDesc = prometheus.NewDesc("tierwall_ext_authz_connections",
		"Connections of proxies that are open.", nil, nil)
	authzDisplacedDesc = prometheus.NewDesc("tierwall_ext_authz_displaced_connections_total",
		"Connections of proxies that were closed, of who has most, for others to have room.", nil, nil)
	authzTookDesc = prometheus.NewDesc("tierwall_ext_authz_decision_seconds",
		"How long decisions about requests took, without the transport.", nil, nil)
)

// collector gives what the server counted.
type collector struct{ server *extauthz.Server }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{authzDesc, authzRefusedDesc, authzUnreadableDesc, authzConnectionsDesc, authzDisplacedDesc, authzTookDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	n := c.server.Counts()
	for verdict, count := range map[string]uint64{"allow": n.Allowed, "deny": n.Denied, "refused": n.Refused} {
		out <- prometheus.MustNewConstMetric(authzDesc, prometheus.CounterValue, float64(count), verdict)
	}
	for reason, count := range n.RefusedBy {
		out <- prometheus.MustNewConstMetric(authzRefusedDesc, prometheus.CounterValue, float64(count), reason)
	}
	out <- prometheus.MustNewConstMetric(authzUnreadableDesc, prometheus.CounterValue, float64(n.Unreadable))
	out <- prometheus.MustNewConstMetric(authzConnectionsDesc, prometheus.GaugeValue, float64(n.Connections))
	out <- prometheus.MustNewConstMetric(authzDisplacedDesc, prometheus.CounterValue, float64(n.Displaced))
	buckets := map[float64]uint64{}
	for bound, count := range n.Took.Below {
		buckets[bound.Seconds()] = count
	}
	out <- prometheus.MustNewConstHistogram(authzTookDesc, n.Took.Count, n.Took.Sum.Seconds(), buckets)
}
