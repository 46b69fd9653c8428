package controller

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what /metrics serves.
type metrics struct {
	registry *prometheus.Registry
	writes   *prometheus.CounterVec
}

var (
	leaderDesc = prometheus.NewDesc("tierwall_controller_leader",
		"1 while this controller leads, else 0.", nil, nil)
	objectsDesc = prometheus.NewDesc("tierwall_controller_objects",
		"Tiers, policies and sets by kind and whether they are valid.", []string{"kind", "accepted"}, nil)
	queueDesc = prometheus.NewDesc("tierwall_controller_queue_length",
		"Objects of which there may be something to say, and whose turn has not come.", nil, nil)
	nodesDesc = prometheus.NewDesc("tierwall_controller_nodes",
		"Nodes whose agents report, by whether the present policy is in force there for all endpoints.", []string{"in_force"}, nil)
	withoutAgentDesc = prometheus.NewDesc("tierwall_controller_nodes_without_agent",
		"Nodes of the cluster that no agent reports from, so that policy is not in force for their pods.", nil, nil)
	overdueDesc = prometheus.NewDesc("tierwall_controller_nodes_stale",
		"Nodes whose agents do not renew their reports, so that policy there may be out of date.", nil, nil)
	enginesDesc = prometheus.NewDesc("tierwall_controller_other_engines",
		"1 for each other engine whose DaemonSet the cluster has: it enforces policy too, unless that is switched off.", []string{"engine"}, nil)
	notEnforceableDesc = prometheus.NewDesc("tierwall_controller_endpoints_not_enforceable",
		"Endpoints for which policy is not in force although their node's kernel holds it, by reason.", []string{"reason"}, nil)
)

func newMetrics(c *controller) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tierwall_controller_writes_total", Help: "Statuses and Events written, by result.",
		}, []string{"what", "result"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tierwall_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": c.cfg.Version},
	})
	build.Set(1)
	for _, what := range []string{"status", "event"} {
		m.writes.WithLabelValues(what, "ok")
		m.writes.WithLabelValues(what, "error")
	}
	m.registry.MustRegister(m.writes, build, collector{c},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) wrote(what string, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.writes.WithLabelValues(what, result).Inc()
}

// collector reads what is asked for at the moment of a scrape.
type collector struct{ *controller }

// Describe names the metrics.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{leaderDesc, objectsDesc, queueDesc, nodesDesc, withoutAgentDesc, overdueDesc, enginesDesc, notEnforceableDesc} {
		ch <- d
	}
}

// Collect reads them. A controller that does not lead knows of no objects.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	l := c.present()
	if l == nil {
		gauge(leaderDesc, 0)
		return
	}
	gauge(leaderDesc, 1)
	gauge(queueDesc, l.queue.Len())
	valid, invalid, nodes, failing := l.counts()
	for _, k := range kinds {
		gauge(objectsDesc, valid[k], k.Key, "true")
		gauge(objectsDesc, invalid[k], k.Key, "false")
	}
	gauge(nodesDesc, nodes-failing, "true")
	gauge(nodesDesc, failing, "false")
	gauge(withoutAgentDesc, l.nodes.withoutAgent())
	gauge(overdueDesc, l.state.overdue())
	for _, name := range l.nodes.otherEngines() {
		gauge(enginesDesc, 1, name)
	}
	for reason, n := range l.state.notEnforceable() {
		gauge(notEnforceableDesc, n, reason)
	}
}
