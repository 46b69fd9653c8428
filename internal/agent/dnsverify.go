package agent

import (
	"os"
	"time"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// learnedSets returns the sets of what an agent of this host has learned, for the
// domains in use, from the file in which it keeps that.
func learnedSets(t *translate.Translator, runDir string, namespace uint64) ([]*policy.Set, error) {
	if runDir == "" {
		runDir = defaultRunDir
	}
	path := namesPath(runDir, namespace)
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

// applySets returns sets to an engine.
func applySets(e *engine.Engine, sets []*policy.Set) {
	for _, s := range sets {
		e.Apply(policy.Change{Key: s.Key, Object: s})
	}
}
