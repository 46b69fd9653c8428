package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/extauthz"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// stage is a scenario's cluster, standing: pods as network namespaces around a
// node whose kernel holds the policy.
type stage struct {
	lab        *lab.Lab
	translator *translate.Translator
	engine     *engine.Engine
	dataplane  dataplane.Dataplane
	reference  *evaluate.Evaluator // of the present state
	requests   *extauthz.State     // likewise, for HTTP requests
	gate       *gate               // judges these; nil if the scenario has none
}

// stageOptions make nodes known from the pods on them.
var stageOptions = translate.Options{Offline: true}

// outside is the host that has all addresses that no pod has.
const outside = "outside"

func newStage(ctx context.Context, s *Scenario) (*stage, error) {
	st := &stage{translator: translate.New(stageOptions), engine: engine.New(nil), requests: extauthz.NewState("")}
	if err := st.take(s.Resources); err != nil {
		return nil, err
	}
	if err := st.build(s); err != nil {
		return nil, errors.Join(err, st.close())
	}
	if err := st.program(ctx); err != nil {
		return nil, errors.Join(err, st.close())
	}
	return st, nil
}

// build makes the lab: a host for each pod and one for the outside world.
func (st *stage) build(s *Scenario) error {
	m := st.translator.Model()
	var node lab.Config
	if len(m.Nodes) > 0 { // scenarios have one
		node = lab.Config{Name: m.Nodes[0].Name, Addrs: m.Nodes[0].Addrs}
	}
	var err error
	if st.lab, err = lab.New(node); err != nil {
		return err
	}
	for _, ep := range m.Endpoints {
		if ep.Host != nil {
			continue // the node
		}
		host := lab.HostConfig{Name: ep.Key.Namespace + "/" + ep.Key.Name, Addrs: ep.Addrs}
		if _, err := st.lab.AddHost(host); err != nil {
			return err
		}
	}
	if addrs := outsideAddrs(s.Expected); len(addrs) > 0 {
		if _, err := st.lab.AddHost(lab.HostConfig{Name: outside, Addrs: addrs}); err != nil {
			return err
		}
	}
	if st.dataplane, err = newDataplane(st.lab.Node()); err != nil {
		return err
	}
	return st.guard(s.Expected)
}

// guard puts a proxy before every server that HTTP requests go to.
func (st *stage) guard(e *Expected) error {
	m := st.translator.Model()
	for _, c := range e.all() {
		if c.HTTP == nil {
			continue
		}
		f, err := c.Flow(m)
		if err != nil {
			return fmt.Errorf("connection %s -> %s: %w", c.From, c.To, err)
		}
		if st.gate == nil {
			if st.gate, err = newGate(st.requests); err != nil {
				return err
			}
		}
		host := st.lab.Owner(f.Dst)
		if host == nil {
			return fmt.Errorf("connection %s -> %s: no host has the address", c.From, c.To)
		}
		if err := st.gate.guard(host, netip.AddrPortFrom(f.Dst, f.DstPort)); err != nil {
			return err
		}
	}
	return nil
}

// all lists all connections of the scenario.
func (e *Expected) all() []Connection {
	connections := slices.Clone(e.Connections)
	if e.Then != nil {
		connections = append(append(connections, e.Then.Live...), e.Then.Connections...)
	}
	return connections
}

// outsideAddrs collects the addresses that connections name by themselves.
func outsideAddrs(e *Expected) []netip.Addr {
	var addrs []netip.Addr
	for _, c := range e.all() {
		for _, name := range []string{c.From, c.To} {
			if a, err := netip.ParseAddr(name); err == nil && !slices.Contains(addrs, a) {
				addrs = append(addrs, a)
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// apply takes changed objects in and brings the kernel to the new state.
func (st *stage) apply(ctx context.Context, resources []store.Resource) error {
	if err := st.take(resources); err != nil {
		return err
	}
	return st.program(ctx)
}

// take translates objects and gives the changes to the engine.
func (st *stage) take(resources []store.Resource) error {
	res := st.translator.ApplySorted(store.Batch{Updated: resources})
	var errs []error
	for _, s := range res.Statuses {
		for _, f := range s.Findings {
			errs = append(errs, f)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	st.engine.Apply(res.Changes...)
	m := st.translator.Model()
	m.Host = hostSettings()
	st.reference = evaluate.New(m)
	st.requests.Apply(res.Changes)
	st.requests.SetNodes(m.Nodes, m.Host)
	return nil
}

// program brings the kernel to the engine's state.
func (st *stage) program(ctx context.Context) error {
	d := st.engine.Flush()
	if d == nil {
		return nil
	}
	if err := st.dataplane.Apply(ctx, d); err != nil {
		return fmt.Errorf("program the kernel: %w", err)
	}
	return nil
}

// plan makes the rows of all steps, with the verdicts of the present state.
func (st *stage) plan(s *Scenario) (*ScenarioReport, error) {
	m := st.translator.Model()
	rows := func(connections []Connection, live bool) ([]*Row, error) {
		var rows []*Row
		for _, c := range connections {
			f, err := c.Flow(m)
			if err != nil {
				return nil, fmt.Errorf("connection %s -> %s: %w", c.From, c.To, err)
			}
			rows = append(rows, newRow(c, f, st.reference.Evaluate(f), live))
		}
		return rows, nil
	}
	sr := &ScenarioReport{Name: s.Name, Title: s.Expected.Title}
	first, err := rows(s.Expected.Connections, false)
	if err != nil {
		return nil, err
	}
	sr.Steps = append(sr.Steps, &Step{Rows: first})
	if then := s.Expected.Then; then != nil {
		step := &Step{Why: then.Why}
		if step.Live, err = rows(then.Live, true); err != nil {
			return nil, err
		}
		if step.Rows, err = rows(then.Connections, false); err != nil {
			return nil, err
		}
		sr.Steps = append(sr.Steps, step)
	}
	return sr, nil
}

// packet returns the flow of a row as the lab shall send it: a source port that
// the scenario does not name is the kernel's to choose.
func (st *stage) packet(row *Row) policy.Flow {
	f := row.flow
	f.SrcPort = row.SourcePort
	return f
}

// close takes the lab down, and with it all that was programmed.
func (st *stage) close() error {
	var errs []error
	if st.gate != nil {
		errs = append(errs, st.gate.close())
	}
	if st.dataplane != nil {
		errs = append(errs, st.dataplane.Close())
	}
	if st.lab != nil {
		errs = append(errs, st.lab.Close())
	}
	return errors.Join(errs...)
}
