package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
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
	dir, err := parseStore(cfg.Store)
	if err != nil {
		return nil, nil, err
	}
	resources, findings := files.Load([]string{dir}, files.Options{})
	b := store.Batch{Updated: resources, Findings: findings}
	if err := usable(dir, b); err != nil {
		return nil, nil, err
	}
	namespace, err := networkNamespace()
	if err != nil {
		return nil, nil, err
	}
	_, earlier, err := openJournal(cfg.RunDir, namespace)
	if err != nil {
		return nil, nil, err
	}
	t := translate.New(translate.Options{})
	t.Apply(store.Batch{Updated: restorable(b, earlier)})
	findings = fileFindings(findings)
	for _, s := range t.Apply(b).Statuses {
		findings = append(findings, s.Findings...)
	}
	model := t.Model()
	tables, err := compile(model, cfg.Node)
	if err != nil {
		return nil, findings, err
	}
	kernel, err := readBack(ctx)
	if err != nil {
		return nil, findings, fmt.Errorf("read back what the kernel holds: %w", err)
	}
	report, err := verify.Run(ctx, verify.Input{Model: model, Tables: tables, Kernel: kernel, Progress: progress})
	if err == nil && report.Decisions == 0 {
		err = fmt.Errorf("nothing to compare: no endpoint of the store is on node %s; is the name right? Nodes there: %s",
			cfg.Node, nodesOf(model))
	}
	return report, findings, err
}

// compile gives the tables that a node should hold.
func compile(m *policy.Model, node string) (*dataplane.State, error) {
	e, tables := newEngine(node), dataplane.NewState()
	e.Apply(changesOf(m)...)
	d := e.Flush()
	if d == nil {
		return nil, errors.New("the store leads to no tables at all")
	}
	return tables, tables.Apply(d)
}
