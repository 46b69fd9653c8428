package dnslearner

import (
	"net/netip"
	"os"
	"time"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// SavedSets returns the sets of what an agent of this host has learned, for the
// domains in use, from the file in which it keeps that. resources are the store's, by
// which addresses of the cluster are told.
func SavedSets(cfg *Config, t *translate.Translator, resources []store.Resource, path string) ([]*policy.Set, error) {
	if cfg == nil {
		return nil, nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil, nil //nolint:nilerr // nothing was learned
	}
	_, saved, err := dns.OpenJournal(path)
	if err != nil {
		return nil, err
	}
	table := dns.NewTable(dns.DefaultLimits)
	table.Restore(saved, time.Now())
	known := NewInventory()
	known.Take(&store.Batch{Updated: resources})
	known.SetLocal(localAddrs())
	endpoints := map[netip.Addr]struct{}{}
	t.Each(func(c policy.Change) {
		switch o := c.Object.(type) {
		case *policy.Set:
			table.SetDomains(c.Key, o)
		case *policy.Endpoint:
			for _, a := range o.Addrs {
				endpoints[a.Unmap().WithZone("")] = struct{}{}
			}
		}
	})
	isEndpoint := func(a netip.Addr) bool { _, is := endpoints[a]; return is }
	table.SetGuard(dns.Guard{
		Owner: func(a netip.Addr) dns.Reason { return known.Owner(a, isEndpoint) }, Internal: cfg.internal(),
	})
	var sets []*policy.Set
	table.Flush(func(c policy.Change) {
		if set, ok := c.Object.(*policy.Set); ok {
			sets = append(sets, set)
		}
	})
	return sets, nil
}
