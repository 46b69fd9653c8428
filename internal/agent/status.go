package agent

import (
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Status is what /status serves.
type Status struct {
	Version        string    `json:"version"`
	Node           string    `json:"node"`
	Store          string    `json:"store"`
	Started        time.Time `json:"started"`
	Ready          bool      `json:"ready"`
	NotReady       string    `json:"notReady,omitempty"` // why not
	LocalEndpoints int       `json:"localEndpoints"`

	Steps          int        `json:"steps"`               // of the kernel's tables
	LastStep       *time.Time `json:"lastStep,omitempty"`  // when
	LastStepMillis float64    `json:"lastStepMillis"`      // how long it took
	LastCheck      *time.Time `json:"lastCheck,omitempty"` // when the kernel was last compared
	DriftRepairs   int        `json:"driftRepairs"`
	LastDrift      []string   `json:"lastDrift,omitempty"` // what was found then
	ConnectionsCut uint64     `json:"connectionsCut"`

	// Findings are what is wrong with files; what is wrong with an object is in Objects.
	Findings []string       `json:"findings"`
	Objects  []ObjectStatus `json:"objects"` // sorted by namespace, kind and name
}

// ObjectStatus is what became of one object of the store.
type ObjectStatus struct {
	Kind      string `json:"kind"` // as it is written
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	State     string `json:"state"` // in force, last valid version in force, not in force, not enforced
	// LocalEndpoints is how many endpoints of this node a policy applies to.
	LocalEndpoints *int     `json:"localEndpoints,omitempty"`
	Findings       []string `json:"findings,omitempty"` // why it is not in force
}

// status describes the present.
func (a *agent) status() *Status {
	cut := a.connectionsCut()
	a.mu.RLock()
	defer a.mu.RUnlock()
	p := a.inForce
	st := &Status{
		Version: a.cfg.Version, Node: a.cfg.Node, Store: a.cfg.Store, Started: a.started,
		LocalEndpoints: len(a.view.locals),
		Steps:          p.steps, LastStepMillis: float64(p.took.Microseconds()) / 1000,
		DriftRepairs: p.repairs, LastDrift: p.lastDrift, ConnectionsCut: cut,
		Findings: []string{}, Objects: []ObjectStatus{},
	}
	st.NotReady = p.notReady()
	st.Ready = st.NotReady == ""
	if !p.applied.IsZero() {
		st.LastStep = &p.applied
	}
	if !p.checked.IsZero() {
		st.LastCheck = &p.checked
	}
	for _, f := range fileFindings(a.findings) {
		st.Findings = append(st.Findings, f.Error())
	}
	for _, s := range a.translator.Statuses() {
		o := ObjectStatus{Kind: store.WrittenKind(s.Key.Kind), Namespace: s.Key.Namespace, Name: s.Key.Name, State: s.State.String()}
		for _, f := range s.Findings {
			o.Findings = append(o.Findings, f.Error())
		}
		if n, ok := a.view.selected(s.Key); ok {
			o.LocalEndpoints = &n
		}
		st.Objects = append(st.Objects, o)
	}
	return st
}

// fileFindings gives what is wrong with files. What is wrong with an object is
// said in its status.
func fileFindings(findings []store.Finding) []store.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f store.Finding) bool {
		return f.Note || f.Key != (policy.Key{})
	})
}

// notReady says why the kernel is behind; "" if it is not.
func (p *progress) notReady() string {
	switch {
	case p.failure != "":
		return "the kernel does not hold the present policy: " + p.failure
	case p.applied.IsZero():
		return "nothing was programmed yet"
	}
	return ""
}

func (a *agent) notReady() string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.inForce.notReady()
}

// stuckAfter is how long the loop may be at one step until it counts as stuck.
const stuckAfter = time.Minute

// busyFor gives how long the loop has been at its present step; 0 if it waits.
func (a *agent) busyFor() time.Duration {
	since := a.busy.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

// cutCounter is a dataplane that ends connections which a change denies.
type cutCounter interface {
	// ConnectionsCut gives how many it has ended; callable at any time.
	ConnectionsCut() uint64
}

func (a *agent) connectionsCut() uint64 {
	a.kernel.Lock()
	defer a.kernel.Unlock()
	if c, ok := a.dataplane.(cutCounter); ok {
		return a.cutBefore + c.ConnectionsCut()
	}
	return a.cutBefore
}
