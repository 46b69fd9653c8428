package agent

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/agent/antispoof"
	"github.com/tierwall/tierwall/internal/agent/authz"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/agent/hostendpoint"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/agent/nodereport"
	"github.com/tierwall/tierwall/internal/agent/podstart"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// Status is what /status serves.
type Status struct {
	Version    string    `json:"version"`
	Node       string    `json:"node"`
	Store      string    `json:"store"`
	Started    time.Time `json:"started"`
	Ready      bool      `json:"ready"`
	NotReady   string    `json:"notReady,omitempty"` // why not
	WaitingFor []string  `json:"waitingFor,omitempty"`
	// Stale says that the store cannot be followed at present; nil: it is.
	Stale *StaleStatus `json:"stale,omitempty"`
	// Invalid is how many objects are not in force in the version that the store has.
	Invalid        int `json:"invalid"`
	LocalEndpoints int `json:"localEndpoints"`
	// NotEnforced is what policy does not reach although the kernel holds it, in words.
	NotEnforced []string `json:"notEnforced,omitempty"`
	// Warnings are what is wrong with the host beside policy, and looks like it.
	Warnings []string `json:"warnings,omitempty"`
	// NotEnforceableEndpoints is how many local endpoints policy is not in force for although the kernel
	// holds it, and NotEnforceable why.
	NotEnforceableEndpoints int                    `json:"notEnforceableEndpoints"`
	NotEnforceable          []NotEnforceableStatus `json:"notEnforceable,omitempty"`

	// Spoofing is what was dropped lately at interfaces of endpoints because of its source.
	Spoofing []antispoof.Spoofing `json:"spoofing,omitempty"`

	Steps          int        `json:"steps"`               // of the kernel's tables
	LastStep       *time.Time `json:"lastStep,omitempty"`  // when
	LastStepMillis float64    `json:"lastStepMillis"`      // how long it took
	LastCheck      *time.Time `json:"lastCheck,omitempty"` // when the kernel was last compared
	DriftRepairs   int        `json:"driftRepairs"`
	LastDrift      []string   `json:"lastDrift,omitempty"` // what was found then
	ConnectionsCut uint64     `json:"connectionsCut"`

	// What components say; see component.StatusReporter.
	ExtAuthz *authz.Status      `json:"extAuthz,omitempty"`
	CNI      *podstart.Status   `json:"cni,omitempty"`
	DNS      *dnslearner.Status `json:"dns,omitempty"`
	Report   *nodereport.Status `json:"report,omitempty"`
	Guards   *antispoof.Status  `json:"guards,omitempty"`

	Endpoints []EndpointStatus `json:"endpoints"` // of this node, by namespace and name
	// Counts is how many objects of each kind there are in each state.
	Counts map[string]map[string]int `json:"counts"`
	// Findings are what is wrong with files; what is wrong with an object is in Objects.
	Findings []string `json:"findings"`
	// Notes say what of files was passed over, and what else is only worth knowing.
	Notes []string `json:"notes,omitempty"`
	// Objects are the policies, and all objects with something wrong, sorted by
	// namespace, kind and name.
	Objects []ObjectStatus `json:"objects"`
}

// NotEnforceableStatus is a reason for which policy is not in force for some endpoints. An endpoint may be concerned by several.
type NotEnforceableStatus struct {
	Reason    string   `json:"reason"`  // one word, that of metrics and reports
	Message   string   `json:"message"` // what happens
	Fix       string   `json:"fix"`     // what to do
	Endpoints []string `json:"endpoints"`
}

// ObjectStatus is what became of one object of the store.
type ObjectStatus struct {
	Kind      string `json:"kind"` // as it is written
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	State     string `json:"state"` // in force, last valid version in force, not in force, not enforced, isolating
	// LocalEndpoints is how many endpoints of this node a policy applies to, and NotEnforceable on
	// how many of them it is not in force.
	LocalEndpoints *int     `json:"localEndpoints,omitempty"`
	NotEnforceable int      `json:"notEnforceable,omitempty"`
	Findings       []string `json:"findings,omitempty"` // what is wrong with it
	Notes          []string `json:"notes,omitempty"`    // what is only worth knowing
}

// EndpointStatus is a local endpoint and where it is.
type EndpointStatus struct {
	Kind      string       `json:"kind"`
	Namespace string       `json:"namespace,omitempty"`
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	// Interface is the host's interface that leads to it, and Bridge the bridge that
	// it is a port of. The sources of its packets are checked if it is known.
	Interface string `json:"interface,omitempty"`
	Bridge    string `json:"bridge,omitempty"`
	// Unknown is why the interface is not known.
	Unknown string `json:"unknown,omitempty"`
	// NotEnforceable is the first reason for which policy is not in force for it.
	NotEnforceable string `json:"notEnforceable,omitempty"`
}

// status describes the present, without what components say.
func (a *agent) status() *Status {
	p := a.progress.get()
	st := &Status{
		Version: a.cfg.Version, Node: a.cfg.Node, Store: a.cfg.Source.String(), Started: a.started,
		Steps: p.steps, LastStepMillis: float64(p.took.Microseconds()) / 1000,
		DriftRepairs: p.repairs, LastDrift: p.lastDrift, ConnectionsCut: a.kernel.ConnectionsCut(),
		Spoofing: a.antispoof.Spoofings(), Findings: []string{}, Counts: map[string]map[string]int{},
	}
	a.describeNotEnforceable(st)
	st.NotReady = a.unready()
	st.Ready = st.NotReady == ""
	if !p.complete {
		st.WaitingFor = a.cfg.Waiting.texts()
	}
	if !p.applied.IsZero() {
		st.LastStep = &p.applied
	}
	if !p.checked.IsZero() {
		st.LastCheck = &p.checked
	}
	a.model.Read(func(v model.View) { a.describe(st, v) })
	return st
}

// describeNotEnforceable adds for whom policy is not in force although the kernel holds it.
func (a *agent) describeNotEnforceable(st *Status) {
	st.NotEnforceableEndpoints = len(a.enforceable.Affected())
	st.Warnings = a.enforceable.Warnings()
	findings := a.enforceable.Findings()
	for _, f := range findings {
		st.NotEnforced = append(st.NotEnforced, f.String())
	}
	st.NotEnforceable = DescribeNotEnforceable(findings)
}

// DescribeNotEnforceable puts findings in the form that is shown.
func DescribeNotEnforceable(findings []enforceable.Finding) []NotEnforceableStatus {
	list := make([]NotEnforceableStatus, 0, len(findings))
	for _, f := range findings {
		n := NotEnforceableStatus{Reason: string(f.Cause), Message: f.What(), Fix: f.Fix()}
		for _, key := range f.Endpoints {
			n.Endpoints = append(n.Endpoints, key.Namespace+"/"+key.Name)
		}
		list = append(list, n)
	}
	return list
}

// describe adds what the model says.
func (a *agent) describe(st *Status, v model.View) {
	st.NotEnforced = append(st.NotEnforced, hostendpoint.Unenforced(v)...)
	st.Objects, st.Endpoints = a.objectsOf(v), a.endpointsOf(v)
	st.LocalEndpoints = len(st.Endpoints)
	st.Stale = a.staleness(v, time.Now())
	for _, s := range v.Invalid() {
		if s.State != translate.InForce {
			st.Invalid++
		}
	}
	for _, f := range fileNotes(v.Findings()) {
		st.Notes = append(st.Notes, f.Error())
	}
	for _, f := range fileFindings(v.Findings()) {
		st.Findings = append(st.Findings, f.Error())
	}
	for k, n := range v.Counts() {
		kind := store.WrittenKind(k.Kind)
		if st.Counts[kind] == nil {
			st.Counts[kind] = map[string]int{}
		}
		st.Counts[kind][k.State.String()] += n
	}
}

// statusJSON returns what /status serves: a Status with a field for each component that has
// something to say, which those who read it by that type may not know yet.
func (a *agent) statusJSON() ([]byte, error) {
	content, err := marshal(a.status())
	if err != nil {
		return nil, err
	}
	out := bytes.TrimSuffix(content, []byte("}"))
	for _, c := range a.components {
		r, ok := c.(component.StatusReporter)
		if !ok {
			continue
		}
		field, content := r.Status()
		if content == nil {
			continue
		}
		text, err := marshal(map[string]any{field: content})
		if err != nil {
			return nil, err
		}
		out = append(append(out, ','), bytes.TrimSuffix(bytes.TrimPrefix(text, []byte("{")), []byte("}"))...)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, append(out, "}\n"...), "", "  "); err != nil {
		return nil, err
	}
	return indented.Bytes(), nil
}

// marshal returns JSON in which selectors can be read: characters of HTML are left.
func marshal(content any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(content)
	return bytes.TrimSpace(b.Bytes()), err
}

// selection is how many local endpoints a policy applies to, and on how many of them it is not in force.
type selection struct{ endpoints, notEnforceable int }

// selectedBy returns that for the policies that apply to any.
func (a *agent) selectedBy(v model.View) map[policy.Key]selection {
	selected, affected := map[policy.Key]selection{}, a.enforceable.Affected()
	v.Selected(func(key policy.Key) bool { _, yes := affected[key]; return yes }, func(p *policy.Policy, endpoints, notEnforceable int) {
		selected[p.ObjectKey()] = selection{endpoints, notEnforceable}
	})
	return selected
}

// objectsOf returns the policies and what is wrong.
func (a *agent) objectsOf(v model.View) []ObjectStatus {
	selected := a.selectedBy(v)
	keys := map[policy.Key]translate.Status{}
	v.Policies(func(key policy.Key) {
		keys[key] = v.Status(key) // some of what is in force is worth a note
	})
	for _, s := range v.Invalid() {
		keys[s.Key] = s
	}
	list := make([]ObjectStatus, 0, len(keys))
	for key, s := range keys {
		o := ObjectStatus{Kind: store.WrittenKind(key.Kind), Namespace: key.Namespace, Name: key.Name, State: s.State.String()}
		for _, f := range s.Findings {
			if f.Note {
				o.Notes = append(o.Notes, f.Error())
			} else {
				o.Findings = append(o.Findings, f.Error())
			}
		}
		if v.HasPolicy(key) {
			n := selected[key]
			o.LocalEndpoints, o.NotEnforceable = &n.endpoints, n.notEnforceable
		}
		list = append(list, o)
	}
	slices.SortFunc(list, func(x, y ObjectStatus) int {
		return policy.Key{Kind: x.Kind, Namespace: x.Namespace, Name: x.Name}.Compare(policy.Key{Kind: y.Kind, Namespace: y.Namespace, Name: y.Name})
	})
	return list
}

// endpointsOf returns the local endpoints.
func (a *agent) endpointsOf(v model.View) []EndpointStatus {
	list := make([]EndpointStatus, 0, len(v.Locals()))
	affected := a.enforceable.Affected()
	for key, ep := range v.Locals() {
		link, unknown := a.antispoof.Link(key)
		e := EndpointStatus{
			Kind: key.Kind, Namespace: key.Namespace, Name: key.Name, Addresses: ep.Addrs,
			Interface: link.Name, Bridge: link.Bridge, Unknown: unknown,
		}
		if r, yes := affected[key]; yes {
			e.NotEnforceable = string(r.Cause)
		}
		list = append(list, e)
	}
	for _, ep := range v.Hosts() {
		list = append(list, EndpointStatus{Kind: ep.Key.Kind, Name: ep.Key.Name, Addresses: ep.Addrs, Interface: ep.Interface})
	}
	slices.SortFunc(list, func(x, y EndpointStatus) int {
		return policy.Key{Kind: x.Kind, Namespace: x.Namespace, Name: x.Name}.Compare(policy.Key{Kind: y.Kind, Namespace: y.Namespace, Name: y.Name})
	})
	return list
}

// fileFindings returns what is wrong with files, or with a cluster. What is wrong
// with an object is said in its status.
func fileFindings(findings []store.Finding) []store.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f store.Finding) bool {
		return f.Note || f.Key != (policy.Key{})
	})
}

// fileNotes returns what is only worth noting of files.
func fileNotes(findings []store.Finding) []store.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f store.Finding) bool {
		return !f.Note || f.Key != (policy.Key{})
	})
}

// stuckAfter is how long the loop may be at one step until it counts as stuck.
const stuckAfter = time.Minute

// unhealthy says why the agent must be started again; "" if it need not.
func (a *agent) unhealthy() string {
	if since := a.busy.Load(); since != 0 {
		if busy := time.Since(time.Unix(0, since)); busy > stuckAfter {
			return "the loop has been busy for " + busy.Round(time.Second).String()
		}
	}
	for _, c := range a.components {
		if h, ok := c.(component.HealthChecker); ok {
			if why := h.Unhealthy(); why != "" {
				return why
			}
		}
	}
	return ""
}
