// Package packetlog writes a line to the log for each packet that rules with action Log
// match.
package packetlog

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/agent/component"
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

// Open listens at a group, 0 for none, and gives what the tables are to
// do. If somebody else listens there already, the packets are for them; if the
// kernel does not know NFLOG, rules with action Log do nothing. Both are logged.
func Open(group uint16, rate uint32, log *slog.Logger) (*nflog.Log, nft.Logging) {
	if group == 0 {
		return nil, nft.Logging{}
	}
	l, err := nflog.Open(group)
	switch {
	case err == nil:
		return l, nft.Logging{Group: group, Rate: rate}
	case errors.Is(err, unix.EBUSY):
		log.Warn("another process takes the packets that rules with action Log match", "group", group, "error", err)
		return nil, nft.Logging{Group: group, Rate: rate}
	}
	log.Warn("the kernel cannot log packets: rules with action Log have no effect", "group", group, "error", err)
	return nil, nft.Logging{}
}

// Component writes the lines.
type Component struct {
	component.Base
	env          component.Env
	source       Source
	logged, lost prometheus.Counter
}

// New returns the component. Without a source nothing is written.
func New(env component.Env, source Source) component.Component {
	if source == nil {
		return component.Base{}
	}
	c := &Component{
		env: env, source: source,
		logged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tierwall_logged_packets_total", Help: "Packets that rules with action Log have had logged.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tierwall_log_overruns_total", Help: "Times that packets came faster than they could be logged.",
		}),
	}
	env.Metrics.MustRegister(c.logged, c.lost)
	return c
}

// Start writes a line for each packet that the tables log, until the context ends.
func (c *Component) Start(ctx context.Context) error {
	go c.run(ctx)
	return nil
}

func (c *Component) run(ctx context.Context) {
	err := c.source.Receive(ctx, func(p nflog.Packet) {
		c.logged.Inc()
		c.env.Log.LogAttrs(ctx, slog.LevelInfo, "packet", c.describePacket(p)...)
	}, func() {
		c.lost.Inc()
		c.env.Log.Warn("more packets were logged than could be written")
	})
	if err != nil && ctx.Err() == nil {
		c.env.Log.Error("packets that rules with action Log match are not logged any more", "error", err)
	}
}

func (c *Component) describePacket(p nflog.Packet) []slog.Attr {
	attrs := c.describeRule(p.Prefix)
	attrs = append(attrs, slog.String("protocol", p.Flow.Protocol.String()), slog.String("src", p.Flow.Src.String()), slog.String("dst", p.Flow.Dst.String()))
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
		if link, err := net.InterfaceByIndex(int(i.index)); err == nil {
			attrs = append(attrs, slog.String(i.name, link.Name))
		}
	}
	return append(attrs, slog.Int("length", p.Length))
}

// describeRule says which rule logged a packet, and what was decided of it. The
// tables may have changed since.
func (c *Component) describeRule(prefix string) []slog.Attr {
	id, log, allow, ok := nft.ParseLogPrefix(prefix)
	if ok {
		if d, found := c.env.Kernel.Decider(id); found {
			if rules := d.Logs.All(); log < len(rules) {
				verdict := policy.Deny
				if allow {
					verdict = policy.Allow
				}
				return []slog.Attr{
					slog.String("rule", dataplane.DeciderText(rules[log])), slog.String("direction", d.Direction.String()),
					slog.String("verdict", verdict.String()), slog.String("decided-by", dataplane.DeciderText(d.By)),
				}
			}
		}
	}
	return []slog.Attr{slog.String("rule", strings.TrimSpace(prefix))}
}
