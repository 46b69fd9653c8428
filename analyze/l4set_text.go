package analyze

import (
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// A set is written down in entries. For programs, the JSON, these list a protocol
// that has a name always by its name: who looks for TCP finds it where it is allowed.
// Numbers and ranges of numbers are of the others only. For people a set of nearly
// everything is what is not in it, "All but TCP 80", where that is shorter.

// entry is a part of what is allowed, as the JSON has it: protocols with all their
// ports and types, or a protocol with some of them.
type entry struct {
	// Protocol is "All", a name, a number, or a range of numbers "18-57" of protocols
	// without names.
	Protocol string `json:"protocol"`
	// Ports are destination ports, "80,443,8000-9000"; empty for all.
	Ports string `json:"ports,omitempty"`
	// Types are ICMP types, or "type/code" where only some codes are allowed:
	// "0,3/1,8-10/0-4"; empty for all.
	Types string `json:"types,omitempty"`
	// Family is "IPv4" or "IPv6" on every entry of a pair whose families
	// differ, and empty on all entries of other pairs.
	Family string `json:"family,omitempty"`
	// HTTP are the requests that are allowed in these connections, each of one of
	// several kinds; nil for all, whatever the connections carry.
	HTTP []Requests `json:"http,omitzero"`
}

// entries writes a set down: by protocol number, runs of protocols without names
// that are wholly in the set as one entry. A set of nothing has no entries.
func (s *L4Set) entries() []entry {
	if s.full == allProtocols {
		return []entry{{Protocol: "All"}}
	}
	unnamed := func(p int) bool { return p < 256 && s.full.has(policy.Protocol(p)) && !policy.Protocol(p).Named() }
	var out []entry
	for p := 0; p < 256; p++ {
		protocol := policy.Protocol(p)
		if !s.full.has(protocol) {
			out = append(out, s.partOf(protocol)...)
			continue
		}
		text := protocol.String()
		if first := p; unnamed(p) {
			for unnamed(p + 1) {
				p++
			}
			if first < p {
				text = span{first, p}.String()
			}
		}
		out = append(out, entry{Protocol: text})
	}
	return out
}

// partOf writes down a protocol of which some is in the set.
func (s *L4Set) partOf(p policy.Protocol) []entry {
	for _, part := range s.ports {
		if part.protocol == p {
			return []entry{{Protocol: p.String(), Ports: spansText(part.spans)}}
		}
	}
	for _, part := range s.icmp {
		if part.protocol == p {
			return []entry{{Protocol: p.String(), Types: typesText(part.runs)}}
		}
	}
	return nil
}

// String returns the set for people: "TCP 80,443; UDP 53", "All but TCP 80",
// "nothing".
func (s L4Set) String() string {
	if s.empty() {
		return "nothing"
	}
	in := textOf(s.entries(), "; ")
	rest := s.Complement()
	if out := "All but " + textOf(rest.entries(), " and "); !rest.empty() && len(out) < len(in) {
		return out
	}
	return in
}

// MarshalJSON returns the list of the set's entries.
func (s L4Set) MarshalJSON() ([]byte, error) {
	return marshal(append([]entry{}, s.entries()...)) // an empty list, and not null
}

func textOf(entries []entry, between string) string {
	words := make([]string, len(entries))
	for i := range entries {
		words[i] = entries[i].String()
	}
	return strings.Join(words, between)
}

// String returns "TCP 80,443", or "ICMP 8/0".
func (e *entry) String() string { return strings.TrimRight(e.Protocol+" "+e.Ports+e.Types, " ") }

func spansText(spans []span) string {
	var b strings.Builder
	for i, s := range spans {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s.String())
	}
	return b.String()
}

// String returns "80", or "80-90".
func (s span) String() string {
	if s.first == s.last {
		return strconv.Itoa(s.first)
	}
	return strconv.Itoa(s.first) + "-" + strconv.Itoa(s.last)
}

func typesText(runs []icmpRun) string {
	var words []string
	for _, r := range runs {
		if r.allCodes() {
			words = append(words, r.types.String())
			continue
		}
		for _, codes := range r.codes {
			words = append(words, r.types.String()+"/"+codes.String())
		}
	}
	return strings.Join(words, ",")
}
