package dnslearner

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/internal/dns"
)

// metrics are what /metrics says of domains.
type metrics struct {
	c      *Component
	delay  prometheus.Histogram
	unseen atomic.Uint64 // the most that unread gave: the kernel's counter begins anew with its table
}

var (
	dnsAnswersDesc = prometheus.NewDesc("tierwall_dns_answers_total",
		"Packets of trusted DNS servers that were read, by what was in them: learned or known addresses of domains in use (addresses), none (other), or no message (malformed).", []string{"content"}, nil)
	dnsUnreadDesc = prometheus.NewDesc("tierwall_dns_answers_unread_total",
		"Packets of trusted DNS servers that passed without being read: no agent was there, or it was too slow.", nil, nil)
	dnsLateDesc = prometheus.NewDesc("tierwall_dns_answers_late_total",
		"Answers that were let go before their addresses were in the kernel, because they had waited for too long.", nil, nil)
	dnsNamesDesc = prometheus.NewDesc("tierwall_dns_names",
		"Names of which addresses are known.", nil, nil)
	dnsAddressesDesc = prometheus.NewDesc("tierwall_dns_addresses",
		"Addresses that are known, each for every name that has it.", nil, nil)
	dnsDomainsDesc = prometheus.NewDesc("tierwall_dns_domains",
		"Domains that policy in force refers to.", nil, nil)
	dnsLearnedDesc = prometheus.NewDesc("tierwall_dns_learned_total",
		"Addresses of names that were learned.", nil, nil)
	dnsExpiredDesc = prometheus.NewDesc("tierwall_dns_expired_total",
		"Addresses of names that were forgotten because their time was over.", nil, nil)
	dnsLimitedDesc = prometheus.NewDesc("tierwall_dns_limited_total",
		"Addresses of names that were not learned, or forgotten early, because there are too many: of one name, from the answers to one client, of the namespace that has most (others need the room), or in all.", []string{"limit"}, nil)
	dnsStreamsDesc = prometheus.NewDesc("tierwall_dns_streams_limited_total",
		"Connections of DNS over TCP whose answers were not read to their end, because there are too many.", nil, nil)
	dnsRefusedDesc = prometheus.NewDesc("tierwall_dns_refused_total",
		"Addresses in answers that a rule for the name does not open, by what the address is: "+reasonList()+".", []string{"reason"}, nil)
	dnsReadyDesc = prometheus.NewDesc("tierwall_dns_ready",
		"1 while answers of DNS servers are read, or need not be, else 0.", nil, nil)
)

func reasonList() string {
	var labels []string
	for _, r := range dns.Reasons {
		labels = append(labels, r.Label())
	}
	return strings.Join(labels, ", ")
}

func newMetrics(c *Component) *metrics {
	m := &metrics{c: c, delay: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tierwall_dns_delay_seconds",
		Help:    "Time for which answers with new addresses were held up until these were in the kernel.",
		Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14), // 0.25 ms to 2 s
	})}
	c.env.Metrics.MustRegister(m, m.delay)
	return m
}

// Describe sends what Collect may.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		dnsAnswersDesc, dnsUnreadDesc, dnsLateDesc, dnsNamesDesc, dnsAddressesDesc, dnsDomainsDesc,
		dnsLearnedDesc, dnsExpiredDesc, dnsLimitedDesc, dnsStreamsDesc, dnsRefusedDesc, dnsReadyDesc,
	} {
		ch <- d
	}
}

// Collect reads the present.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	s := m.c.learner.Stats()
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	count(dnsAnswersDesc, s.Answers-min(s.Answers, s.Useless+s.Malformed), "addresses")
	count(dnsAnswersDesc, s.Useless, "other")
	count(dnsAnswersDesc, s.Malformed, "malformed")
	count(dnsUnreadDesc, m.unread(s.Answers))
	count(dnsLateDesc, s.Late)
	count(dnsLearnedDesc, s.Learned)
	count(dnsExpiredDesc, s.Expired)
	count(dnsLimitedDesc, s.OverName, "name")
	count(dnsLimitedDesc, s.OverClient, "client")
	count(dnsLimitedDesc, s.OverTotal, "total")
	count(dnsLimitedDesc, s.OverNamespace, "namespace")
	count(dnsStreamsDesc, s.OverStreams)
	for _, r := range dns.Reasons {
		count(dnsRefusedDesc, s.Refused[r], r.Label())
	}
	gauge(dnsNamesDesc, s.Names)
	gauge(dnsAddressesDesc, s.Records)
	gauge(dnsDomainsDesc, s.Domains)
	ready := 1
	if m.c.currentFailure(s.Failure) != "" {
		ready = 0
	}
	gauge(dnsReadyDesc, ready)
}

// unread returns how many answers the kernel has picked out, and nobody has read.
func (m *metrics) unread(read uint64) uint64 {
	const timeout = 2 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	queued, err := m.c.env.Kernel.QueuedAnswers(ctx)
	if err == nil && queued > read && queued-read > m.unseen.Load() {
		m.unseen.Store(queued - read)
	}
	return m.unseen.Load()
}
