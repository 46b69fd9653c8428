package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/lab"
)

// Observer sees a demo while it runs. Its methods are called one at a time.
type Observer interface {
	// Scenario begins; all rows that will come are known, so that columns can
	// be measured. What they say of the kernel is still empty.
	Scenario(s *ScenarioReport)
	// Step begins; the first one of a scenario has no Why.
	Step(step *Step)
	// Row is settled. Rows come in the order of the report.
	Row(row *Row)
}

// Options says how to run a demo.
type Options struct {
	Scenarios fs.FS    // one folder for each, as in package examples
	Names     []string // those to play, in this order; none: all
	Observer  Observer
	// Timeout is how long a connection waits for an answer; 0 is the lab's default.
	Timeout time.Duration
	// Keep leaves the lab of the last scenario standing until Report.Close.
	Keep bool
}

// Run plays the scenarios one after the other, each in a lab of its own. The
// report says whether all agreed; an error says that the demo itself failed.
// Close the report after use.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	names := o.Names
	if len(names) == 0 {
		var err error
		if names, err = Names(o.Scenarios); err != nil {
			return nil, err
		}
	}
	var scenarios []*Scenario
	for _, name := range names { // a wrong name is told before anything is built
		s, err := Load(o.Scenarios, name)
		if err != nil {
			return nil, err
		}
		scenarios = append(scenarios, s)
	}
	start := time.Now()
	report := &Report{Agree: true}
	defer func() {
		if err != nil {
			err = errors.Join(err, report.Close())
		}
	}()
	for _, s := range scenarios {
		if err := report.Close(); err != nil { // the lab of the one before
			return nil, err
		}
		if report.stage, err = newStage(ctx, s); err != nil {
			return nil, fmt.Errorf("scenario %s: %w", s.Name, err)
		}
		sr, err := report.stage.play(ctx, s, o)
		if err != nil {
			return nil, fmt.Errorf("scenario %s: %w", s.Name, err)
		}
		report.Scenarios = append(report.Scenarios, sr)
		report.Agree = report.Agree && sr.Agree
	}
	report.Took = Seconds(time.Since(start))
	if !o.Keep {
		return report, report.Close()
	}
	return report, nil
}

// play makes the connections of a scenario, step by step.
func (st *stage) play(ctx context.Context, s *Scenario, o Options) (*ScenarioReport, error) {
	start := time.Now()
	sr, err := st.plan(s)
	if err != nil {
		return nil, err
	}
	o.Observer.Scenario(sr)
	o.Observer.Step(sr.Steps[0])
	st.probe(ctx, sr.Steps[0].Rows, o)
	if len(sr.Steps) > 1 {
		if err := st.playChange(ctx, s, sr.Steps[1], o); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil { // probes that were interrupted say nothing
		return nil, err
	}
	sr.Agree = true
	for _, row := range sr.rows() {
		sr.Agree = sr.Agree && row.Agree
	}
	sr.Took = Seconds(time.Since(start))
	return sr, nil
}

// playChange opens connections, changes the policy and sees which of them live.
func (st *stage) playChange(ctx context.Context, s *Scenario, step *Step, o Options) error {
	open := make([]*lab.Conn, len(step.Live))
	defer func() {
		for _, c := range open {
			if c != nil {
				_ = c.Close() // the lab goes with it
			}
		}
	}()
	for i, row := range step.Live {
		var err error
		if open[i], err = st.lab.Open(ctx, st.packet(row), timeoutOr(o.Timeout, openTimeout)); err != nil {
			return fmt.Errorf("open %s -> %s %s before the change: %w", row.From, row.To, row.Service(), err)
		}
	}
	if err := st.apply(ctx, s.Change); err != nil {
		return err
	}
	for _, row := range slices.Concat(step.Live, step.Rows) {
		row.judge(st.reference.Evaluate(row.flow))
	}
	o.Observer.Step(step)
	settleInOrder(step.Live, o.Observer, func(i int, row *Row) {
		timeout := timeoutOr(o.Timeout, openTimeout)
		if row.Policy == "Deny" { // silence is what we expect: do not wait for long
			timeout = cutTimeout
		}
		if err := open[i].Exchange(timeout); err != nil {
			row.settle("Deny", "cut: "+err.Error())
		} else {
			row.settle("Allow", "lives")
		}
	})
	st.probe(ctx, step.Rows, o)
	return nil
}

// openTimeout is generous: an opened connection is allowed, so nothing is won
// by giving up early.
const openTimeout = 5 * time.Second

// cutTimeout is how long a connection that policy denies may stay silent until
// it counts as cut.
const cutTimeout = time.Second

func timeoutOr(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// probe makes all connections at once and hands them over in order.
func (st *stage) probe(ctx context.Context, rows []*Row, o Options) {
	settleInOrder(rows, o.Observer, func(_ int, row *Row) {
		if row.connection.HTTP != nil {
			row.settle(st.request(ctx, row, o.Timeout))
			return
		}
		out := st.lab.Probe(ctx, st.packet(row), o.Timeout)
		kernel := failed
		switch out.Verdict {
		case lab.Allowed:
			kernel = "Allow"
		case lab.Denied:
			kernel = "Deny"
		}
		row.settle(kernel, out.Detail)
	})
}

// settleInOrder settles all rows at the same time and shows each as soon as it
// and all before it are settled.
func settleInOrder(rows []*Row, show Observer, settle func(int, *Row)) {
	done := make([]chan struct{}, len(rows))
	var wg sync.WaitGroup
	for i, row := range rows {
		done[i] = make(chan struct{})
		wg.Go(func() {
			defer close(done[i])
			settle(i, row)
		})
	}
	for i, row := range rows {
		<-done[i]
		show.Row(row)
	}
	wg.Wait()
}
