package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/internal/agent/antispoof"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/agent/hostendpoint"
	"github.com/tierwall/tierwall/internal/agent/kernel"
	"github.com/tierwall/tierwall/internal/agent/lastvalid"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/internal/verify"
	"github.com/tierwall/tierwall/policy"
)

// Verified is what Verify found.
type Verified struct {
	*verify.Report
	// NotEnforceable is for which endpoints the decisions of the kernel are not all that counts, because packets
	// of theirs do not come by.
	NotEnforceable []enforceable.Finding
}

// Verify holds what the kernel of this host has in force against what the
// store says, decision by decision. It reads only, and may run beside an agent.
// The findings name the objects that are invalid: of those, the last valid
// version should be in force, if an agent of this host has seen one.
func Verify(ctx context.Context, cfg Config, readBack func(context.Context) (dataplane.FlowDecider, error),
	progress func(done, total int),
) (*Verified, []store.Finding, error) {
	listing, err := cfg.Source.List(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("store %s: %w", cfg.Source, err)
	}
	if strings.HasPrefix(cfg.Source.String(), "files:") {
		if err := usable(cfg.Source.String(), len(listing.Resources), listing.Findings); err != nil {
			return nil, nil, err
		}
	}
	namespace, err := networkNamespace()
	if err != nil {
		return nil, nil, err
	}
	run := runDir(cfg.RunDir)
	t, err := restoredModel(listing, run, namespace)
	if err != nil {
		return nil, nil, err
	}
	findings := fileFindings(listing.Findings)
	for _, s := range t.Invalid() {
		findings = append(findings, s.Findings...)
	}
	learned, err := dnslearner.SavedSets(cfg.DNS, t, listing.Resources, dnslearner.Path(run, namespace))
	if err != nil {
		return nil, findings, err
	}
	names, err := hostendpoint.Interfaces()
	if err != nil {
		return nil, findings, err
	}
	tables, err := compile(t, cfg.Node, names, learned)
	if err != nil {
		return nil, findings, err
	}
	readBackTables, err := readBack(ctx)
	if err != nil {
		return nil, findings, fmt.Errorf("read back what the kernel holds: %w", err)
	}
	// What this node enforces by: its own endpoints' addresses are theirs.
	isLocal := func(ep *policy.Endpoint) bool { return ep.Node == cfg.Node }
	known := t.Model().At(isLocal)
	for i, ep := range known.Endpoints {
		known.Endpoints[i] = model.Place(ep, cfg.Node, names).(*policy.Endpoint)
	}
	known.Sets = append(known.Sets, learned...)
	known.Host = cfg.Host.HostSettings
	dnsRules, err := kernel.CompareDNSQueue(ctx, readBackTables, dnslearner.ExpectedRules(cfg.DNS, cfg.Node, t, listing.Resources, cfg.Log))
	if err != nil {
		return nil, findings, err
	}
	ending := endingPods(listing.Resources)
	local, err := localEndpoints(&cfg, known.Endpoints, func(ep *policy.Endpoint) bool { return isLocal(ep) && !ending[ep.Key] })
	if err != nil {
		return nil, findings, err
	}
	found, err := findLinks(local)
	if err != nil {
		return nil, findings, err
	}
	report, err := verify.Run(ctx, verify.Input{
		Model: known, Tables: tables, Kernel: readBackTables, IsLocal: isLocal, Mark: cfg.Host.Mark, Structure: dnsRules, Progress: progress,
		Links: &verify.Links{Settings: cfg.Guards, Known: antispoof.Known(component.Env{Node: cfg.Node, Log: cfg.Log}, antispoof.Config{
			Check: cfg.CheckSources, AllowSources: cfg.AllowSources, DenyUnknown: cfg.DenyUnknown,
		}, listing.Resources, &found)},
	})
	if err == nil && report.Decisions == 0 {
		nodes := map[string]bool{}
		for _, ep := range known.Endpoints {
			nodes[ep.Node] = true
		}
		err = fmt.Errorf("nothing to compare: no endpoint of the store is on node %s; is the name right? Nodes there: %s",
			cfg.Node, listNodes(nodes))
	}
	if err != nil {
		return nil, findings, err
	}
	out := &Verified{Report: report}
	out.NotEnforceable, err = notEnforceable(local, found)
	return out, findings, err
}

// restoredModel translates what a store has, with the last valid versions that agents of a network
// namespace have kept.
func restoredModel(listing store.Listing, run string, namespace uint64) (*translate.Translator, error) {
	t := translate.New(translate.Options{})
	now := store.Batch{Updated: listing.Resources, Findings: listing.Findings}
	t.Apply(now, translate.Sink{})
	return t, lastvalid.Restore(t, now, lastvalid.Path(run, namespace))
}

// compile returns the tables that a node should hold that has learned some sets.
func compile(t *translate.Translator, node string, names map[netip.Addr]string, learned []*policy.Set) (*dataplane.State, error) {
	e, tables := model.NewEngine(node), dataplane.NewState()
	t.Each(func(c policy.Change) {
		c.Object = model.Place(c.Object, node, names)
		e.Apply(c)
	})
	for _, set := range learned {
		e.Apply(policy.Change{Key: set.Key, Object: set})
	}
	d := e.Flush()
	if d == nil {
		return nil, errors.New("the store leads to no tables at all")
	}
	return tables, tables.Apply(d)
}
