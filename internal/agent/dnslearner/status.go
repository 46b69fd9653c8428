package dnslearner

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/dns/learn"
)

// Status says how it goes with learning the addresses of domains.
type Status struct {
	// Domains is how many policy refers to; while there are none, nothing is learned.
	Domains int `json:"domains"`
	// Names have Addresses in all, each counted for every name that has it.
	Names     int `json:"names"`
	Addresses int `json:"addresses"`
	// Servers are those whose answers are trusted.
	Servers []netip.Addr `json:"servers"`
	// Answers were read, of which Late went before their addresses were in the kernel.
	Answers uint64 `json:"answers"`
	Late    uint64 `json:"late"`
	// Limited are addresses that were not learned, or forgotten early: there are too many.
	Limited uint64 `json:"limited"`
	// LimitedStreams are connections over TCP whose answers were not read to their end.
	LimitedStreams uint64 `json:"limitedStreams,omitempty"`
	// Refused are the addresses in answers that a domain's name must not have, by the
	// reason: see dns.Reason.
	Refused map[string]uint64 `json:"refused,omitempty"`
	// Namespaces are those whose endpoints were kept from what they asked for by a limit,
	// and the one that has most of the room, once half of it is used.
	Namespaces []NamespaceUse `json:"namespaces,omitempty"`
	// Failure is why nothing is learned at present.
	Failure string `json:"failure,omitempty"`
	// Unsaved is why the next agent will have to learn anew.
	Unsaved string `json:"unsaved,omitempty"`
}

// NamespaceUse is how much of the room for addresses a namespace takes.
type NamespaceUse struct {
	Namespace string `json:"namespace"` // "" is the host itself, "-" what is there no more
	Addresses int    `json:"addresses"`
	Limited   uint64 `json:"limited"`
}

// LearnedName is what /dns serves of one name.
type LearnedName struct {
	Name      string           `json:"name"`
	Addresses []LearnedAddress `json:"addresses"`
}

// LearnedAddress is one address of a name.
type LearnedAddress struct {
	Address netip.Addr `json:"address"`
	// Expires is when it is forgotten, unless another answer states it, or a
	// connection to it lives.
	Expires time.Time `json:"expires"`
	// Client is who got the answer that it was first in.
	Client netip.Addr `json:"client"`
	// Refused is the label of the reason why rules for the name do not open the address,
	// or not all of them, which Counted says then: see dns.Reason.
	Refused string `json:"refused,omitempty"`
	Counted bool   `json:"counted,omitempty"`
}

// MissedAlias is a question whose answer taught nothing although it led, by an alias, to
// a name that policy knows.
type MissedAlias struct {
	Asked string    `json:"asked"`
	Alias string    `json:"alias"`
	Seen  time.Time `json:"seen"`
}

// Learned is what /dns serves.
type Learned struct {
	Status
	Known   []LearnedName `json:"known"`             // by name
	Aliases []MissedAlias `json:"aliases,omitempty"` // by alias
}

// currentFailure returns why nothing is learned at present although policy refers to
// domains; reading is what the reader of answers says.
func (c *Component) currentFailure(reading string) string {
	if !c.learner.InUse() {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if why := c.failure.String(); why != "" {
		return why
	}
	return reading
}

// Status implements component.StatusReporter.
func (c *Component) Status() (field string, content any) { return "dns", c.status() }

func (c *Component) status() *Status {
	s := c.learner.Stats()
	c.mu.Lock()
	servers := slices.Clone(c.rules.Servers)
	c.mu.Unlock()
	st := &Status{
		Domains: s.Domains, Names: s.Names, Addresses: s.Records, Servers: servers, Answers: s.Answers,
		Late: s.Late, Limited: s.OverName + s.OverClient + s.OverTotal + s.OverNamespace, LimitedStreams: s.OverStreams,
		Refused: refusals(&s), Namespaces: c.namespaces(s.Records),
		Failure: c.currentFailure(s.Failure), Unsaved: s.Unsaved,
	}
	if len(servers) == 0 && st.Domains > 0 && st.Failure == "" {
		st.Failure = "no DNS server is known whose answers could be trusted: name them with --dns-servers"
	}
	if st.Servers == nil {
		st.Servers = []netip.Addr{}
	}
	return st
}

// refusals returns how many addresses were refused, by the labels of the reasons; nil if
// none was.
func refusals(s *learn.Stats) map[string]uint64 {
	var out map[string]uint64
	for _, r := range dns.Reasons {
		if n := s.Refused[r]; n > 0 {
			if out == nil {
				out = map[string]uint64{}
			}
			out[r.Label()] = n
		}
	}
	return out
}

// namespaces returns those that the status names, of some records in all.
func (c *Component) namespaces(records int) []NamespaceUse {
	limits := c.cfg.Limits
	if limits == (dns.Limits{}) {
		limits = dns.DefaultLimits
	}
	var out []NamespaceUse
	for i, u := range c.learner.Namespaces() {
		if u.Limited > 0 || i == 0 && records > limits.Total/2 {
			out = append(out, NamespaceUse{u.Namespace, u.Records, u.Limited})
		}
	}
	return out
}

// Path implements component.Server.
func (*Component) Path() (path, what string) { return servedPath, served }

// servingWait is how long a client waits for its turn.
const servingWait = 10 * time.Second

const (
	servedPath = "/dns"
	served     = "what is known of the names of domains in use (JSON)"
)

// ServeHTTP serves all that is known, to one client at a time: it may be much, and who
// asks many times at once, and reads slowly, is to cost the agent no more.
func (c *Component) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wait, stop := context.WithTimeout(r.Context(), servingWait)
	defer stop()
	select {
	case c.serving <- struct{}{}:
		defer func() { <-c.serving }()
	case <-wait.Done():
		http.Error(w, "others are being told of all names at this moment: try again", http.StatusServiceUnavailable)
		return
	}
	out := &Learned{Status: *c.status(), Known: []LearnedName{}}
	for _, r := range c.learner.Known() {
		if n := len(out.Known); n == 0 || out.Known[n-1].Name != r.Name {
			out.Known = append(out.Known, LearnedName{Name: r.Name})
		}
		last := &out.Known[len(out.Known)-1]
		a := LearnedAddress{Address: r.Addr, Expires: r.Expires, Client: r.Client, Refused: r.Refused.Label()}
		a.Counted = r.Refused != dns.NoReason && r.Counted
		last.Addresses = append(last.Addresses, a)
	}
	for _, m := range c.learner.MissedAliases() {
		out.Aliases = append(out.Aliases, MissedAlias{m.Asked, m.Alias, m.Seen})
	}
	writeJSON(w, out)
}

// disabled serves that nothing is learned.
type disabled struct{ component.Base }

// Path implements component.Server.
func (disabled) Path() (path, what string) { return servedPath, served }

// ServeHTTP says so.
func (disabled) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, &Learned{
		Status: Status{Servers: []netip.Addr{}, Failure: "this agent learns no addresses of domains"}, Known: []LearnedName{},
	})
}

func writeJSON(w http.ResponseWriter, content any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(content) // an error is the client's, who has gone
}
