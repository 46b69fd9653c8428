package agent

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// metrics are what /metrics serves. Counters of rules are read from the kernel
// at each scrape: per rule, never per pair of endpoints.
type metrics struct {
	registry *prometheus.Registry
	took     prometheus.Histogram
	steps    *prometheus.CounterVec
	checks   prometheus.Counter
	drifts   prometheus.Counter
	repairs  prometheus.Counter
	delay    prometheus.Histogram
}

var (
	packetsDesc = prometheus.NewDesc("tierwall_rule_packets_total",
		"Packets that a rule, the end of a tier or a profile decided: the first of each connection, and every denied one.", ruleLabels, nil)
	bytesDesc = prometheus.NewDesc("tierwall_rule_bytes_total",
		"Bytes of the packets of tierwall_rule_packets_total.", ruleLabels, nil)
	resourcesDesc = prometheus.NewDesc("tierwall_resources",
		"Objects of the store by kind and state.", []string{"kind", "state"}, nil)
	findingsDesc = prometheus.NewDesc("tierwall_store_findings",
		"What is wrong with files of the store at present; objects are in tierwall_resources.", nil, nil)
	endpointsDesc = prometheus.NewDesc("tierwall_local_endpoints",
		"Endpoints of this node with addresses.", nil, nil)
	readyDesc = prometheus.NewDesc("tierwall_ready",
		"1 while the kernel holds the policy that was read, and that is not older than --max-staleness, else 0.", nil, nil)
	staleDesc = prometheus.NewDesc("tierwall_store_stale_seconds",
		"For how long the store, or a part of it, cannot be followed; 0 while it is.", nil, nil)
	storeDesc = prometheus.NewDesc("tierwall_store_ready",
		"1 once the first state of the store was taken in, else 0.", nil, nil)

	ruleLabels = []string{"tier", "kind", "namespace", "name", "rule", "direction", "action"}
)

func newMetrics(a *agent) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tierwall_apply_seconds",
			Help:    "Time of one atomic step of the kernel's tables.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), // 0.5 ms to 4 s
		}),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tierwall_apply_total", Help: "Steps of the kernel's tables by result.",
		}, []string{"result"}),
		checks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tierwall_drift_checks_total", Help: "Times that what the kernel holds was read back and compared.",
		}),
		drifts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tierwall_drift_found_total", Help: "Checks that found the kernel to differ.",
		}),
		repairs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tierwall_drift_repairs_total", Help: "Checks that found the kernel to differ and wrote everything anew.",
		}),
	}
	m.delay = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tierwall_change_seconds",
		Help:    "Time from a change's arrival from the store, or from the CNI plugin, until it is in the kernel.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16), // 0.5 ms to 16 s
	})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tierwall_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": a.cfg.Version, "node": a.cfg.Node},
	})
	build.Set(1)
	m.steps.WithLabelValues("ok")
	m.steps.WithLabelValues("error")
	m.registry.MustRegister(m.took, m.steps, m.checks, m.drifts, m.repairs, m.delay, build, collector{a},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) applied(took time.Duration, err error) {
	if err != nil {
		m.steps.WithLabelValues("error").Inc()
		return
	}
	m.steps.WithLabelValues("ok").Inc()
	m.took.Observe(took.Seconds())
}

func (m *metrics) checked(d dataplane.Drift) {
	m.checks.Inc()
	if len(d.Findings) > 0 {
		m.drifts.Inc()
		if d.Repaired {
			m.repairs.Inc()
		}
	}
}

// collector reads what is asked for at the moment of a scrape.
type collector struct{ *agent }

// Describe names the metrics.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		packetsDesc, bytesDesc, resourcesDesc, findingsDesc, endpointsDesc, readyDesc, storeDesc, staleDesc,
	} {
		ch <- d
	}
}

// Collect reads them.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	var counts map[translate.KindState]int
	var findings, locals int
	var stale float64
	c.model.Read(func(v model.View) {
		if since := v.StaleSince(); !since.IsZero() {
			stale = time.Since(since).Seconds()
		}
		counts, findings, locals = v.Counts(), len(fileFindings(v.Findings())), len(v.Locals())
	})
	p := c.progress.get()
	for k, n := range counts {
		gauge(resourcesDesc, float64(n), k.Kind, k.State.String())
	}
	gauge(storeDesc, one(p.complete))
	gauge(staleDesc, stale)
	gauge(findingsDesc, float64(findings))
	gauge(endpointsDesc, float64(locals))
	gauge(readyDesc, one(c.unready() == ""))
	c.collectRules(ch)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// collectTimeout bounds the time that a scrape keeps the kernel's tables.
const collectTimeout = 5 * time.Second

func (c collector) collectRules(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	counters, err := c.kernel.Counters(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(packetsDesc, err)
		return
	}
	type labels [7]string
	sums := map[labels][2]uint64{} // a series may not occur twice
	c.model.Read(func(v model.View) {
		for _, n := range counters {
			by := n.Decider.By
			rule := strconv.Itoa(by.Rule)
			if by.Rule == policy.EndOfTier {
				rule = "end"
			}
			l := labels{by.Tier, by.Kind, by.Namespace, by.Name, rule, n.Decider.Direction.String(), v.Action(by, n.Decider.Direction)}
			s := sums[l]
			sums[l] = [2]uint64{s[0] + n.Packets, s[1] + n.Bytes}
		}
	})
	for l, s := range sums {
		ch <- prometheus.MustNewConstMetric(packetsDesc, prometheus.CounterValue, float64(s[0]), l[:]...)
		ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.CounterValue, float64(s[1]), l[:]...)
	}
}
