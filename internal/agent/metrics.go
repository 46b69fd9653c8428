package agent

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tierwall/tierwall/internal/dataplane"
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
	cut      prometheus.Histogram
	logged   prometheus.Counter
	logLost  prometheus.Counter
	reports  *prometheus.CounterVec
	cni      *prometheus.HistogramVec
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
		"1 while the kernel holds the present policy, else 0.", nil, nil)
	storeDesc = prometheus.NewDesc("tierwall_store_ready",
		"1 once the first state of the store was taken in, else 0.", nil, nil)
	linksDesc = prometheus.NewDesc("tierwall_local_endpoint_interfaces",
		"Local endpoints by whether their interface is known: then the sources of their packets are checked.", []string{"known"}, nil)
	bypassDesc = prometheus.NewDesc("tierwall_not_enforced",
		"Ways on this host by which packets between pods bypass policy; see status.", nil, nil)
	spoofedDesc = prometheus.NewDesc("tierwall_spoofed_packets_total",
		"Packets from a local endpoint dropped because their source was not its address.", nil, nil)
	cniWaitingDesc = prometheus.NewDesc("tierwall_cni_waiting",
		"Pods held up at this moment until their policy is in the kernel.", nil, nil)
	reportedDesc = prometheus.NewDesc("tierwall_report_current",
		"1 while the report to the cluster could be written, else 0.", nil, nil)
	cutDesc = prometheus.NewDesc("tierwall_connections_cut_total",
		"Live connections ended because a change of policy denies them.", nil, nil)

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
	m.cut = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tierwall_cut_seconds",
		Help:    "Time of the passes over the kernel's connections that end those which a change denies.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12), // 0.5 ms to 1 s
	})
	m.logged = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tierwall_logged_packets_total", Help: "Packets that rules with action Log have had logged.",
	})
	m.logLost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tierwall_log_overruns_total", Help: "Times that packets came faster than they could be logged.",
	})
	m.reports = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tierwall_reports_total", Help: "Reports to the cluster by result.",
	}, []string{"result"})
	m.cni = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tierwall_cni_seconds", Help: "Time of the answers to the CNI plugin, by operation and result.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // 1 ms to 33 s
	}, []string{"operation", "result"})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tierwall_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": a.cfg.Version, "node": a.cfg.Node},
	})
	build.Set(1)
	m.steps.WithLabelValues("ok")
	m.steps.WithLabelValues("error")
	m.registry.MustRegister(m.took, m.steps, m.checks, m.drifts, m.repairs, m.delay, m.cut, build, collector{a},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if a.cfg.Report != nil {
		m.reports.WithLabelValues("ok")
		m.reports.WithLabelValues("error")
		m.registry.MustRegister(m.reports)
	}
	if a.cfg.PacketLog != nil {
		m.registry.MustRegister(m.logged, m.logLost)
	}
	if a.cfg.CNI != nil {
		m.registry.MustRegister(m.cni)
	}
	return m
}

func resultOf(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

func (m *metrics) reported(err error) { m.reports.WithLabelValues(resultOf(err)).Inc() }

func (m *metrics) observeCNI(op string, took time.Duration, err error) {
	m.cni.WithLabelValues(op, resultOf(err)).Observe(took.Seconds())
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
		packetsDesc, bytesDesc, resourcesDesc, findingsDesc, endpointsDesc, readyDesc, cutDesc,
		storeDesc, linksDesc, bypassDesc, spoofedDesc, cniWaitingDesc, reportedDesc,
	} {
		ch <- d
	}
}

// Collect reads them.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.mu.RLock()
	counts, findings, locals := c.translator.Counts(), len(fileFindings(c.findings)), len(c.view.locals)
	c.mu.RUnlock()
	c.progressMu.RLock()
	ready, complete := one(c.inForce.notReady() == ""), one(c.inForce.complete)
	links := c.links
	c.progressMu.RUnlock()
	for k, n := range counts {
		gauge(resourcesDesc, float64(n), k.Kind, k.State.String())
	}
	gauge(storeDesc, complete)
	gauge(bypassDesc, float64(len(links.bypass)))
	if c.cfg.Links != nil {
		gauge(linksDesc, float64(len(links.found)), "yes")
		gauge(linksDesc, float64(len(links.unknown)), "no")
	}
	if c.cfg.CNI != nil {
		gauge(cniWaitingDesc, float64(c.waitingPods()))
	}
	if r := c.reporter.status(); r != nil {
		gauge(reportedDesc, one(r.Error == ""))
	}
	gauge(findingsDesc, float64(findings))
	gauge(endpointsDesc, float64(locals))
	gauge(readyDesc, ready)
	ch <- prometheus.MustNewConstMetric(cutDesc, prometheus.CounterValue, float64(c.connectionsCut()))
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
	counters, spoofed, err := c.counters(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(packetsDesc, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(spoofedDesc, prometheus.CounterValue, float64(spoofed))
	c.mu.RLock()
	defer c.mu.RUnlock()
	type labels [7]string
	sums := map[labels][2]uint64{} // a series may not occur twice
	for _, n := range counters {
		by := n.Decider.By
		rule := strconv.Itoa(by.Rule)
		if by.Rule == policy.EndOfTier {
			rule = "end"
		}
		l := labels{by.Tier, by.Kind, by.Namespace, by.Name, rule, n.Decider.Direction.String(), c.view.action(by, n.Decider.Direction)}
		s := sums[l]
		sums[l] = [2]uint64{s[0] + n.Packets, s[1] + n.Bytes}
	}
	for l, s := range sums {
		ch <- prometheus.MustNewConstMetric(packetsDesc, prometheus.CounterValue, float64(s[0]), l[:]...)
		ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.CounterValue, float64(s[1]), l[:]...)
	}
}

// counters reads the kernel's; none while it is behind.
func (a *agent) counters(ctx context.Context) (list []dataplane.Counter, spoofed uint64, err error) {
	a.kernel.Lock()
	defer a.kernel.Unlock()
	if a.dataplane == nil {
		return nil, 0, nil
	}
	if g, ok := a.dataplane.(dataplane.Guarded); ok {
		if spoofed, err = g.Spoofed(ctx); err != nil {
			return nil, 0, err
		}
	}
	list, err = a.dataplane.Counters(ctx)
	return list, spoofed, err
}
