// Package packetlog writes a line to the log for each packet that rules with action Log
// match.
package packetlog

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/nflog"
	"github.com/tierwall/tierwall/policy"
)

// DefaultGroup is the NFLOG group of packets that rules with action Log match.
const DefaultGroup = 7411

// Source gives the packets that the tables log.
type Source interface {
	// Receive hands them over until the context ends; lost is called when there
	// were more than could be taken.
	Receive(ctx context.Context, each func(nflog.Packet), lost func()) error
}

// Log is a [Source] that knows how many packets the tables log.
type Log struct {
	*nflog.Log
	rate uint32
}

// Rate returns how many packets a second the kernel tells of for one rule; 0: nft.DefaultLogRate.
func (l *Log) Rate() uint32 { return l.rate }

// Open listens at a group, 0 for none, and gives what the tables are to
// do. If somebody else listens there already, the packets are for them; if the
// kernel does not know NFLOG, rules with action Log do nothing. Both are logged.
func Open(group uint16, rate uint32, log *slog.Logger) (*Log, nft.Logging) {
	if group == 0 {
		return nil, nft.Logging{}
	}
	l, err := nflog.Open(group)
	switch {
	case err == nil:
		return &Log{l, rate}, nft.Logging{Group: group, Rate: rate}
	case errors.Is(err, unix.EBUSY):
		log.Warn("another process takes the packets that rules with action Log match", "group", group, "error", err)
		return nil, nft.Logging{Group: group, Rate: rate}
	}
	log.Warn("the kernel cannot log packets: rules with action Log have no effect", "group", group, "error", err)
	return nil, nft.Logging{}
}

// LinesPerRule is how many rules may have all that the kernel tells of them written: the
// lines a second of a node are at most the rate of one rule times this.
const LinesPerRule = 5

// reportInterval is between two lines about what was left out.
const reportInterval = 10 * time.Second

// Component writes the lines, as many as each namespace's share allows.
type Component struct {
	component.Base
	env                   component.Env
	source                Source
	logged, leftOut, lost prometheus.Counter
	now                   func() time.Time

	mu       sync.Mutex
	shares   *shares
	overruns uint64                // since the last report
	of       map[netip.Addr]string // the namespaces of endpoints of this node
	names    map[uint32]string     // of interfaces, since the last second began
	named    time.Time
}

// New returns the component. Without a source nothing is written.
func New(env component.Env, source Source) component.Component {
	if source == nil {
		return component.Base{}
	}
	var rate uint32
	if l, ok := source.(interface{ Rate() uint32 }); ok {
		rate = l.Rate()
	}
	c := &Component{
		env: env, source: source, now: time.Now, names: map[uint32]string{},
		shares: newShares(LinesPerRule * int(cmp.Or(rate, nft.DefaultLogRate))),
		logged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tierwall_logged_packets_total", Help: "Packets that rules with action Log have had logged.",
		}),
		leftOut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tierwall_log_left_out_packets_total", Help: "Packets that rules with action Log matched and that were not logged: their namespace, or the policy, had more than its share of this node's lines.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tierwall_log_overruns_total", Help: "Times that packets came faster than they could be logged.",
		}),
	}
	env.Metrics.MustRegister(c.logged, c.leftOut, c.lost)
	return c
}

// Start writes a line for each packet that the tables log, until the context ends.
func (c *Component) Start(ctx context.Context) error {
	go c.run(ctx)
	go func() {
		tick := time.NewTicker(reportInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.report()
			}
		}
	}()
	return nil
}

// BeforeStep follows whose the addresses of endpoints are.
func (c *Component) BeforeStep(_ context.Context, s component.Step) error {
	if !s.Full && !s.LocalChange {
		return nil
	}
	of := map[netip.Addr]string{}
	c.env.Model.Read(func(v model.View) {
		for _, ep := range v.Locals() {
			for _, a := range ep.Addrs {
				of[a.Unmap()] = ep.Key.Namespace
			}
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of = of
	return nil
}

func (c *Component) run(ctx context.Context) {
	err := c.source.Receive(ctx, func(p nflog.Packet) {
		rule := c.ruleOf(p.Prefix)
		c.mu.Lock()
		write := c.shares.take(c.namespaceOf(rule, p.Flow), rule.policy, c.now())
		c.mu.Unlock()
		if !write {
			c.leftOut.Inc()
			return
		}
		c.logged.Inc()
		c.env.Log.LogAttrs(ctx, slog.LevelInfo, "packet", c.describePacket(rule, p)...)
	}, func() {
		c.lost.Inc()
		c.mu.Lock()
		c.overruns++
		c.mu.Unlock()
	})
	if err != nil && ctx.Err() == nil {
		c.env.Log.Error("packets that rules with action Log match are not logged any more", "error", err)
	}
}

// report says what was left out lately, in one line.
func (c *Component) report() {
	c.mu.Lock()
	left, of := c.shares.report()
	overruns := c.overruns
	c.overruns = 0
	c.mu.Unlock()
	if left > 0 {
		c.env.Log.Warn("packets that rules with action Log match were left out of the log: there are too many", "packets", left, "namespaces", of)
	}
	if overruns > 0 {
		c.env.Log.Warn("packets that rules with action Log match came faster than they could be read", "times", overruns)
	}
}

// namespaceOf returns whose share a packet counts for: that of the endpoint whose policy
// logs it, as a global policy is everybody's.
func (c *Component) namespaceOf(rule loggedRule, f policy.Flow) string {
	if rule.namespace != "" {
		return rule.namespace
	}
	src, dst := c.of[f.Src.Unmap()], c.of[f.Dst.Unmap()]
	switch {
	case rule.by == nil: // which end it is, is not known
		return cmp.Or(dst, src)
	case rule.direction == policy.Egress:
		return src
	}
	return dst
}

func (c *Component) describePacket(rule loggedRule, p nflog.Packet) []slog.Attr {
	attrs := append(rule.attrs(), slog.String("protocol", p.Flow.Protocol.String()), slog.String("src", p.Flow.Src.String()), slog.String("dst", p.Flow.Dst.String()))
	switch {
	case p.Flow.Protocol.HasPorts():
		attrs = append(attrs, slog.Int("src-port", int(p.Flow.SrcPort)), slog.Int("dst-port", int(p.Flow.DstPort)))
	case p.Flow.Protocol.IsICMP():
		attrs = append(attrs, slog.Int("icmp-type", int(p.Flow.ICMPType)), slog.Int("icmp-code", int(p.Flow.ICMPCode)))
	}
	for _, i := range []struct {
		name  string
		index uint32
	}{{"in", p.Input}, {"out", p.Output}} {
		if i.index == 0 {
			continue
		}
		if name := c.interfaceName(i.index); name != "" {
			attrs = append(attrs, slog.String(i.name, name))
		}
	}
	return append(attrs, slog.Int("length", p.Length))
}

// interfaceName returns the name of an interface, "" if there is none. It asks once a
// second: the kernel lists all of them for it. Of the reading goroutine.
func (c *Component) interfaceName(index uint32) string {
	if now := c.now(); now.Sub(c.named) >= second {
		clear(c.names)
		c.named = now
	}
	name, known := c.names[index]
	if !known {
		if link, err := net.InterfaceByIndex(int(index)); err == nil {
			name = link.Name
		}
		c.names[index] = name
	}
	return name
}

// loggedRule is the rule that had a packet logged.
type loggedRule struct {
	text      string
	policy    string // without the number of the rule
	namespace string // of the policy
	direction policy.Direction
	by        *dataplane.Decider // what was decided; nil: not known
	allow     bool
}

// ruleOf finds the rule that logged a packet. The tables may have changed since.
func (c *Component) ruleOf(prefix string) loggedRule {
	id, log, allow, ok := nft.ParseLogPrefix(prefix)
	if ok {
		if d, found := c.env.Kernel.Decider(id); found {
			if r, there := d.Logs.At(log); there {
				return loggedRule{
					text: dataplane.DeciderText(r), policy: r.Kind + " " + r.Namespace + "/" + r.Name, namespace: r.Namespace,
					direction: d.Direction, by: &d, allow: allow,
				}
			}
		}
	}
	text := strings.TrimSpace(prefix)
	name, _, _ := strings.Cut(text, " rule ")
	return loggedRule{text: text, policy: name}
}

// attrs says which rule it was, and what was decided.
func (r *loggedRule) attrs() []slog.Attr {
	if r.by == nil {
		return []slog.Attr{slog.String("rule", r.text)}
	}
	verdict := policy.Deny
	if r.allow {
		verdict = policy.Allow
	}
	return []slog.Attr{
		slog.String("rule", r.text), slog.String("direction", r.direction.String()),
		slog.String("verdict", verdict.String()), slog.String("decided-by", dataplane.DeciderText(r.by.By)),
	}
}
