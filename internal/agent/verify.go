package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/internal/verify"
	"github.com/tierwall/tierwall/policy"
)

// Verify holds what the kernel of this host has in force against what the
// store says, decision by decision. It reads only, and may run beside an agent.
// The findings name the objects that are invalid: of those, the last valid
// version should be in force, if an agent of this host has seen one.
func Verify(ctx context.Context, cfg Config, readBack func(context.Context) (dataplane.FlowDecider, error),
	progress func(done, total int),
) (*verify.Report, []store.Finding, error) {
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
	j, earlier, err := openJournal(cfg.RunDir, namespace)
	if err != nil {
		return nil, nil, err
	}
	t := translate.New(translate.Options{})
	now := store.Batch{Updated: listing.Resources, Findings: listing.Findings}
	t.Take(now, translate.Sink{})
	if err := putBack(t, now, j, earlier); err != nil {
		return nil, nil, err
	}
	findings := fileFindings(listing.Findings)
	for _, s := range t.Invalid() {
		findings = append(findings, s.Findings...)
	}
	learned, err := learnedSets(t, cfg.RunDir, namespace)
	if err != nil {
		return nil, findings, err
	}
	names, err := interfaceNames()
	if err != nil {
		return nil, findings, err
	}
	tables, err := compile(t, cfg.Node, names, learned)
	if err != nil {
		return nil, findings, err
	}
	kernel, err := readBack(ctx)
	if err != nil {
		return nil, findings, fmt.Errorf("read back what the kernel holds: %w", err)
	}
	// What this node enforces by: its own endpoints' addresses are theirs.
	isLocal := func(ep *policy.Endpoint) bool { return ep.Node == cfg.Node }
	model := t.Model().At(isLocal)
	for i, ep := range model.Endpoints {
		model.Endpoints[i] = placed(ep, cfg.Node, names).(*policy.Endpoint)
	}
	model.Sets = append(model.Sets, learned...)
	model.Host = cfg.Host.HostSettings
	atTap, err := tapDifferences(ctx, cfg, t, kernel, listing.Resources)
	if err != nil {
		return nil, findings, err
	}
	report, err := verify.Run(ctx, verify.Input{
		Model: model, Tables: tables, Kernel: kernel, IsLocal: isLocal, Mark: cfg.Host.Mark, Structure: atTap, Progress: progress,
	})
	if err == nil && report.Decisions == 0 {
		nodes := map[string]bool{}
		for _, ep := range model.Endpoints {
			nodes[ep.Node] = true
		}
		err = fmt.Errorf("nothing to compare: no endpoint of the store is on node %s; is the name right? Nodes there: %s",
			cfg.Node, listNodes(nodes))
	}
	return report, findings, err
}

// putBack returns a translator the last valid versions that an agent would have kept.
func putBack(t *translate.Translator, now store.Batch, j *journal, earlier map[policy.Key]remembered) error {
	back, again := store.Batch{Findings: now.Findings}, store.Batch{Findings: now.Findings}
	restored := map[policy.Key]bool{}
	for _, key := range restorable(t, now.Findings, earlier) {
		r, err := j.load(key)
		if err != nil {
			return fmt.Errorf("the last valid version of %s: %w", store.ObjectName(key), err)
		}
		back.Updated, restored[key] = append(back.Updated, r), true
	}
	for _, r := range now.Updated {
		if restored[r.Key] {
			again.Updated = append(again.Updated, r)
		}
	}
	t.Take(back, translate.Sink{})
	t.Take(again, translate.Sink{})
	return nil
}

// compile returns the tables that a node should hold that has learned some sets.
func compile(t *translate.Translator, node string, names map[netip.Addr]string, learned []*policy.Set) (*dataplane.State, error) {
	e, tables := newEngine(node), dataplane.NewState()
	t.Each(func(c policy.Change) {
		c.Object = placed(c.Object, node, names)
		e.Apply(c)
	})
	applySets(e, learned)
	d := e.Flush()
	if d == nil {
		return nil, errors.New("the store leads to no tables at all")
	}
	return tables, tables.Apply(d)
}
