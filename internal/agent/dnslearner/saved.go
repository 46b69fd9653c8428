package dnslearner

import (
	"os"
	"time"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// SavedSets returns the sets of what an agent of this host has learned, for the
// domains in use, from the file in which it keeps that.
func SavedSets(t *translate.Translator, path string) ([]*policy.Set, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, nil //nolint:nilerr // nothing was learned
	}
	_, saved, err := dns.OpenJournal(path)
	if err != nil {
		return nil, err
	}
	table := dns.NewTable(dns.DefaultLimits)
	table.Restore(saved, time.Now())
	t.Each(func(c policy.Change) {
		if set, ok := c.Object.(*policy.Set); ok {
			table.SetDomains(c.Key, set)
		}
	})
	var sets []*policy.Set
	table.Flush(func(c policy.Change) {
		if set, ok := c.Object.(*policy.Set); ok {
			sets = append(sets, set)
		}
	})
	return sets, nil
}
