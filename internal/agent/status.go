package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
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
	WaitingFor     []string  `json:"waitingFor,omitempty"`
	LocalEndpoints int       `json:"localEndpoints"`
	// NotEnforced is what policy does not reach although the kernel holds it.
	NotEnforced []string `json:"notEnforced,omitempty"`

	Steps          int        `json:"steps"`               // of the kernel's tables
	LastStep       *time.Time `json:"lastStep,omitempty"`  // when
	LastStepMillis float64    `json:"lastStepMillis"`      // how long it took
	LastCheck      *time.Time `json:"lastCheck,omitempty"` // when the kernel was last compared
	DriftRepairs   int        `json:"driftRepairs"`
	LastDrift      []string   `json:"lastDrift,omitempty"` // what was found then
	ConnectionsCut uint64     `json:"connectionsCut"`

	// ExtAuthz is how it goes with the answers to proxies.
	ExtAuthz *AuthzStatus  `json:"extAuthz,omitempty"`
	CNI      *CNIStatus    `json:"cni,omitempty"`
	DNS      *DNSStatus    `json:"dns,omitempty"`
	Report   *ReportStatus `json:"report,omitempty"`

	Endpoints []EndpointStatus `json:"endpoints"` // of this node, by namespace and name
	// Counts is how many objects of each kind there are in each state.
	Counts map[string]map[string]int `json:"counts"`
	// Findings are what is wrong with files; what is wrong with an object is in Objects.
	Findings []string `json:"findings"`
	// Objects are the policies, and all objects with something wrong, sorted by
	// namespace, kind and name.
	Objects []ObjectStatus `json:"objects"`
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
}

// CNIStatus says how it goes with the CNI plugin.
type CNIStatus struct {
	// Waiting is how many pods are held up at this moment, Pods how many were
	// started by way of the plugin and have not ended.
	Waiting int                `json:"waiting"`
	Pods    int                `json:"pods"`
	Install *cni.InstallStatus `json:"install,omitempty"`
}

// status describes the present.
func (a *agent) status() *Status {
	cut, dns := a.connectionsCut(), a.dnsStatus()
	a.mu.RLock()
	defer a.mu.RUnlock()
	a.progressMu.RLock()
	p, links := a.inForce, a.links
	a.progressMu.RUnlock()
	st := &Status{
		Version: a.cfg.Version, Node: a.cfg.Node, Store: a.cfg.Source.String(), Started: a.started,
		LocalEndpoints: len(a.view.locals) + len(a.view.hosts),
		Steps:          p.steps, LastStepMillis: float64(p.took.Microseconds()) / 1000,
		DriftRepairs: p.repairs, LastDrift: p.lastDrift, ConnectionsCut: cut,
		Findings: []string{}, Objects: a.objects(), Endpoints: a.endpoints(links),
		Counts: map[string]map[string]int{}, Report: a.reporter.status(), CNI: a.cniStatus(),
		NotEnforced: slices.Concat(links.bypass, a.hostNotes()), DNS: dns, ExtAuthz: a.authzStatus(),
	}
	st.NotReady = p.notReady()
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
	for _, f := range fileFindings(a.findings) {
		st.Findings = append(st.Findings, f.Error())
	}
	for k, n := range a.translator.Counts() {
		kind := store.WrittenKind(k.Kind)
		if st.Counts[kind] == nil {
			st.Counts[kind] = map[string]int{}
		}
		st.Counts[kind][k.State.String()] += n
	}
	return st
}

// selected returns how many local endpoints each policy applies to, of those that
// apply to any. The caller holds mu.
func (a *agent) selected() map[policy.Key]int {
	selected := map[policy.Key]int{}
	a.engine.Selected(func(p *policy.Policy, endpoints int) { selected[p.ObjectKey()] = endpoints })
	return selected
}

// objects returns the policies and what is wrong. The caller holds mu.
func (a *agent) objects() []ObjectStatus {
	selected := a.selected()
	keys := make(map[policy.Key]translate.Status, len(a.view.policies))
	for key := range a.view.policies {
		keys[key] = a.translator.Status(key) // some of what is in force is worth a note
	}
	for _, s := range a.translator.Invalid() {
		keys[s.Key] = s
	}
	list := make([]ObjectStatus, 0, len(keys))
	for key, s := range keys {
		o := ObjectStatus{Kind: store.WrittenKind(key.Kind), Namespace: key.Namespace, Name: key.Name, State: s.State.String()}
		for _, f := range s.Findings {
			o.Findings = append(o.Findings, f.Error())
		}
		if _, ok := a.view.policies[key]; ok {
			n := selected[key]
			o.LocalEndpoints = &n
		}
		list = append(list, o)
	}
	slices.SortFunc(list, func(x, y ObjectStatus) int {
		return policy.Key{Kind: x.Kind, Namespace: x.Namespace, Name: x.Name}.Compare(policy.Key{Kind: y.Kind, Namespace: y.Namespace, Name: y.Name})
	})
	return list
}

// endpoints returns the local endpoints. The caller holds mu.
func (a *agent) endpoints(links linkState) []EndpointStatus {
	list := make([]EndpointStatus, 0, len(a.view.locals))
	for key, ep := range a.view.locals {
		e := EndpointStatus{Kind: key.Kind, Namespace: key.Namespace, Name: key.Name, Addresses: ep.Addrs, Unknown: links.unknown[key]}
		if l, ok := links.found[key]; ok {
			e.Interface, e.Bridge = l.Name, l.Bridge
		}
		list = append(list, e)
	}
	for key, ep := range a.view.hosts {
		here := placed(ep, a.cfg.Node, a.ifNames).(*policy.Endpoint)
		list = append(list, EndpointStatus{Kind: key.Kind, Name: key.Name, Addresses: ep.Addrs, Interface: here.Interface})
	}
	slices.SortFunc(list, func(x, y EndpointStatus) int {
		return policy.Key{Kind: x.Kind, Namespace: x.Namespace, Name: x.Name}.Compare(policy.Key{Kind: y.Kind, Namespace: y.Namespace, Name: y.Name})
	})
	return list
}

func (a *agent) cniStatus() *CNIStatus {
	server := a.server.Load()
	if server == nil {
		return nil
	}
	st := &CNIStatus{Waiting: server.Waiting(), Pods: len(server.Records())}
	if a.cfg.Installer != nil {
		install := a.cfg.Installer.Status()
		st.Install = &install
	}
	return st
}

// fileFindings returns what is wrong with files, or with a cluster. What is wrong
// with an object is said in its status.
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
	a.progressMu.RLock()
	defer a.progressMu.RUnlock()
	return a.inForce.notReady()
}

// stuckAfter is how long the loop may be at one step until it counts as stuck.
const stuckAfter = time.Minute

// sick says why the agent must be started again; "" if it need not.
func (a *agent) sick() string {
	if since := a.busy.Load(); since != 0 {
		if busy := time.Since(time.Unix(0, since)); busy > stuckAfter {
			return "the loop has been busy for " + busy.Round(time.Second).String()
		}
	}
	if a.cniBroken.Load() {
		return "the CNI plugin is not answered any more"
	}
	return ""
}
