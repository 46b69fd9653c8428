package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/nflog"
	"github.com/tierwall/tierwall/policy"
)

// DefaultLogGroup is the NFLOG group of packets that rules with action Log match.
const DefaultLogGroup = 7411

// PacketLog gives the packets that the tables log.
type PacketLog interface {
	// Receive hands them over until the context ends; lost is called when there
	// were more than could be taken.
	Receive(ctx context.Context, each func(nflog.Packet), lost func()) error
}

// OpenPacketLog listens at a group, 0 for none, and gives what the tables are to
// do. If somebody else listens there already, the packets are for them; if the
// kernel does not know NFLOG, rules with action Log do nothing. Both are logged.
func OpenPacketLog(group uint16, rate uint32, log *slog.Logger) (*nflog.Log, nft.Logging) {
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

// logPackets writes a line for each packet that the tables log.
func (a *agent) logPackets(ctx context.Context) {
	err := a.cfg.PacketLog.Receive(ctx, func(p nflog.Packet) {
		a.metrics.logged.Inc()
		a.log.LogAttrs(ctx, slog.LevelInfo, "packet", a.describePacket(p)...)
	}, func() {
		a.metrics.logLost.Inc()
		a.log.Warn("more packets were logged than could be written")
	})
	if err != nil && ctx.Err() == nil {
		a.log.Error("packets that rules with action Log match are not logged any more", "error", err)
	}
}

func (a *agent) describePacket(p nflog.Packet) []slog.Attr {
	attrs := a.describeRule(p.Prefix)
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
func (a *agent) describeRule(prefix string) []slog.Attr {
	id, log, allow, ok := nft.ParseLogPrefix(prefix)
	if ok {
		if d, found := a.deciderOf(id); found {
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

// deciderOf finds a decider of the tables in force.
func (a *agent) deciderOf(id dataplane.DeciderID) (d dataplane.Decider, ok bool) {
	a.kernel.Lock()
	defer a.kernel.Unlock()
	if s, has := a.dataplane.(interface{ State() *dataplane.State }); has {
		d, _, _, ok = s.State().Decider(id)
	}
	return d, ok
}
