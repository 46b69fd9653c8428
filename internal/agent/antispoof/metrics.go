package antispoof

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	linksDesc = prometheus.NewDesc("tierwall_local_endpoint_interfaces",
		"Local endpoints by whether their interface is known: then the sources of their packets are checked.", []string{"known"}, nil)
	bypassDesc = prometheus.NewDesc("tierwall_not_enforced",
		"Ways on this host by which packets between pods bypass policy; see status.", nil, nil)
	spoofedDesc = prometheus.NewDesc("tierwall_spoofed_packets_total",
		"Packets from a local endpoint dropped because their source was not its address.", nil, nil)
)

// collectTimeout bounds the time that a scrape keeps the kernel's tables.
const collectTimeout = 5 * time.Second

// collector reads what is asked for at the moment of a scrape.
type collector struct{ c *Component }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{linksDesc, bypassDesc, spoofedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	known, unknown, bypass := m.c.counts()
	gauge(bypassDesc, bypass)
	if m.c.cfg.Links != nil {
		gauge(linksDesc, known, "yes")
		gauge(linksDesc, unknown, "no")
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	spoofed, err := m.c.env.Kernel.Spoofed(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(spoofedDesc, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(spoofedDesc, prometheus.CounterValue, float64(spoofed))
}
