package agent

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// DNSStatus says how it goes with learning the addresses of domains.
type DNSStatus struct {
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
	// Failure is why nothing is learned at present.
	Failure string `json:"failure,omitempty"`
	// Unsaved is why the next agent will have to learn anew.
	Unsaved string `json:"unsaved,omitempty"`
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
}

// Learned is what /dns serves.
type Learned struct {
	DNSStatus
	Known []LearnedName `json:"known"` // by name
}

// namesFailure returns why nothing is learned at present although policy refers to
// domains; reading is what the reader of answers says.
func (a *agent) namesFailure(reading string) string {
	n := a.names
	a.progressMu.RLock()
	failure := n.failure
	a.progressMu.RUnlock()
	switch {
	case !n.InUse():
		return ""
	case failure != "":
		return failure
	}
	return reading
}

// dnsStatus returns nil if nothing is done about domains.
func (a *agent) dnsStatus() *DNSStatus {
	n := a.names
	if n == nil {
		return nil
	}
	s := n.Stats()
	a.progressMu.RLock()
	servers := slices.Clone(n.tap.Servers)
	a.progressMu.RUnlock()
	st := &DNSStatus{
		Domains: s.Domains, Names: s.Names, Addresses: s.Facts, Servers: servers, Answers: s.Answers,
		Late: s.Late, Limited: s.OverName + s.OverClient + s.OverTotal,
		Failure: a.namesFailure(s.Failure), Unsaved: s.Unsaved,
	}
	if len(servers) == 0 && st.Domains > 0 && st.Failure == "" {
		st.Failure = "no DNS server is known whose answers could be trusted: name them with --dns-servers"
	}
	if st.Servers == nil {
		st.Servers = []netip.Addr{}
	}
	return st
}

// learned returns all that is known.
func (a *agent) learned() *Learned {
	out := &Learned{Known: []LearnedName{}}
	st := a.dnsStatus()
	if st == nil {
		out.Servers = []netip.Addr{}
		out.Failure = "this agent learns no addresses of domains"
		return out
	}
	out.DNSStatus = *st
	for _, f := range a.names.Known() {
		if n := len(out.Known); n == 0 || out.Known[n-1].Name != f.Name {
			out.Known = append(out.Known, LearnedName{Name: f.Name})
		}
		last := &out.Known[len(out.Known)-1]
		last.Addresses = append(last.Addresses, LearnedAddress{f.Addr, f.Expires, f.Client})
	}
	return out
}

// serveDNS serves what is known.
func (a *agent) serveDNS(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(a.learned()) // an error is the client's, who has gone
}
