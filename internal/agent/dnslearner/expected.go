package dnslearner

import (
	"log/slog"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dns/learn"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// ExpectedRules returns the rules for answers of DNS servers that an agent would have, with this
// configuration and the store's resources: see Component.wanted. A nil log is none.
func ExpectedRules(cfg *Config, node string, t *translate.Translator, resources []store.Resource, log *slog.Logger) dataplane.DNSQueueRules {
	if cfg == nil {
		return dataplane.DNSQueueRules{}
	}
	rules := dataplane.DNSQueueRules{Queue: cfg.Queue}
	if rules.Queue == 0 {
		rules.Queue = learn.DefaultQueue
	}
	inUse, hosts := false, false
	t.Each(func(c policy.Change) {
		switch o := c.Object.(type) {
		case *policy.Set:
			inUse = inUse || len(o.Domains) > 0
		case *policy.Endpoint:
			if o.Node != node {
				return
			}
			if o.Host != nil {
				hosts = true
			} else {
				rules.Clients = append(rules.Clients, o.Addrs...)
			}
		}
	})
	if !inUse {
		return dataplane.DNSQueueRules{}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := servers{cfg: cfg, log: log}
	s.follow(&store.Batch{Updated: resources})
	rules.Servers = s.list()
	rules.Clients = clients(rules.Clients, hosts, rules.Servers)
	return rules
}
