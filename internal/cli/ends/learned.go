package ends

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/cli/agenthttp"
	"github.com/tierwall/tierwall/internal/dns"
)

// LearnedFlag is where it is written what an agent has learned of names, which nobody can
// tell from manifests.
type LearnedFlag struct{ from string }

const (
	learnedFromAgent = "agent"
	maxLearned       = 256 << 20 // bytes
)

// Register adds the flag.
func (f *LearnedFlag) Register(flags *pflag.FlagSet) {
	flags.StringVar(&f.from, "learned", "",
		`what an agent has learned of names: a file with the output of "tierwall dns -o json", or "agent" to ask the agent of this host (agent:ADDRESS:PORT if its --metrics-addr is another)`)
}

// Read returns what was learned; nothing without the flag.
func (f *LearnedFlag) Read() (*dnslearner.Learned, error) {
	var l dnslearner.Learned
	if f.from == "" {
		return &l, nil
	}
	addr, named := strings.CutPrefix(f.from, learnedFromAgent+":")
	if f.from == learnedFromAgent {
		addr, named = agenthttp.DefaultAddr, true
	}
	if named {
		if err := agenthttp.Get(context.Background(), addr, "/dns", &l); err != nil {
			return nil, fmt.Errorf("--learned %s: %w", f.from, err)
		}
		return &l, nil
	}
	file, err := os.Open(f.from)
	if err != nil {
		return nil, fmt.Errorf("--learned: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := json.NewDecoder(io.LimitReader(file, maxLearned)).Decode(&l); err != nil {
		return nil, fmt.Errorf(`--learned %s: is not what "tierwall dns -o json" prints: %w`, f.from, err)
	}
	return &l, nil
}

// learnedRecords returns the addresses that were learned, and the aliases that taught nothing.
// Names that none can have are left out.
func learnedRecords(l *dnslearner.Learned) (records []dns.Record, aliases []dns.MissedAlias) {
	for _, n := range l.Known {
		d, err := dns.ParseDomain(n.Name)
		if err != nil || d.Below {
			continue
		}
		for _, a := range n.Addresses {
			if a.Address.IsValid() {
				records = append(records, dns.Record{Name: d.Name, Addr: a.Address.Unmap().WithZone("")})
			}
		}
	}
	for _, m := range l.Aliases {
		asked, err := dns.ParseDomain(m.Asked)
		alias, err2 := dns.ParseDomain(m.Alias)
		if err == nil && err2 == nil && !asked.Below && !alias.Below {
			aliases = append(aliases, dns.MissedAlias{Asked: asked.Name, Alias: alias.Name, Seen: m.Seen})
		}
	}
	return records, aliases
}
