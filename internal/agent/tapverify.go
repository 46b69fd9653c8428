package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dns/learn"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// tapDifferences lists what the kernel's table for answers of DNS servers has
// otherwise than an agent with this configuration would have it; nothing if the
// kernel cannot tell.
func tapDifferences(ctx context.Context, cfg Config, t *translate.Translator, kernel dataplane.FlowDecider, resources []store.Resource) ([]string, error) {
	tapped, ok := kernel.(interface {
		TapDifferences(ctx context.Context, t dataplane.Tap) ([]string, error)
	})
	if !ok {
		return nil, nil
	}
	return tapped.TapDifferences(ctx, expectedTap(cfg, t, resources))
}

// expectedTap returns the tap that an agent would have: see agent.setTap.
func expectedTap(cfg Config, t *translate.Translator, resources []store.Resource) dataplane.Tap {
	if cfg.DNS == nil {
		return dataplane.Tap{}
	}
	n := &names{cfg: *cfg.DNS}
	if n.cfg.Queue == 0 {
		n.cfg.Queue = learn.DefaultQueue
	}
	tap := dataplane.Tap{Queue: n.cfg.Queue}
	inUse, hosts := false, false
	t.Each(func(c policy.Change) {
		switch o := c.Object.(type) {
		case *policy.Set:
			inUse = inUse || len(o.Domains) > 0
		case *policy.Endpoint:
			if o.Node != cfg.Node {
				return
			}
			if o.Host != nil {
				hosts = true
			} else {
				tap.Clients = append(tap.Clients, o.Addrs...)
			}
		}
	})
	if !inUse {
		return dataplane.Tap{}
	}
	if hosts {
		tap.Clients = append(tap.Clients, hostAddrs()...)
	}
	for i := range resources {
		if s, ok := resources[i].Object.(*corev1.Service); ok && resources[i].Key == n.cfg.Service && n.cfg.Servers == nil {
			n.service = serviceAddrs(s)
		}
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	tap.Servers = n.servers(&agent{cfg: cfg, log: log})
	slices.SortFunc(tap.Clients, netip.Addr.Compare)
	tap.Clients = slices.Compact(tap.Clients)
	return tap
}
