package antispoof

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	linksDesc = prometheus.NewDesc("tierwall_local_endpoint_interfaces",
		"Local endpoints by whether their interface is known: then the sources of their packets are checked.", []string{"known"}, nil)
	spoofingDesc = prometheus.NewDesc("tierwall_spoofing_interfaces",
		"Interfaces of local endpoints by which packets came lately that were dropped for their source, by how many sources they have: with many, the interface probably leads to more than the endpoint.", []string{"sources"}, nil)
	spoofedDesc = prometheus.NewDesc("tierwall_spoofed_packets_total",
		"Packets from a local endpoint dropped because their source was not its address.", nil, nil)
	guardsDesc = prometheus.NewDesc("tierwall_guard_dropped_packets_total",
		"Packets dropped before policy was asked, by the guard that dropped them.", []string{"guard"}, nil)
)

// collectTimeout bounds the time that a scrape keeps the kernel's tables.
const collectTimeout = 5 * time.Second

// collector reads what is asked for at the moment of a scrape.
type collector struct{ c *Component }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{linksDesc, spoofingDesc, spoofedDesc, guardsDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	known, unknown := m.c.counts()
	if m.c.cfg.Check {
		gauge(linksDesc, known, "yes")
		gauge(linksDesc, unknown, "no")
		few, many := 0, 0
		for _, s := range m.c.Spoofings() {
			if s.IsMany() {
				many++
			} else {
				few++
			}
		}
		gauge(spoofingDesc, few, "few")
		gauge(spoofingDesc, many, "many")
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	spoofed, err := m.c.env.Kernel.Spoofed(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(spoofedDesc, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(spoofedDesc, prometheus.CounterValue, float64(spoofed))
	counters, _, err := m.c.env.Kernel.Guards(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(guardsDesc, err)
	}
	for _, n := range counters {
		ch <- prometheus.MustNewConstMetric(guardsDesc, prometheus.CounterValue, float64(n.Packets), string(n.Guard))
	}
}
