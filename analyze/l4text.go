package analyze

import (
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// entries writes a set down: by protocol number, runs of protocols that are
// wholly in the set as one entry. A set of nothing has no entries.
func (s *l4) entries() []Allowed {
	var out []Allowed
	for p := 0; p < 256; p++ {
		if !s.full[p] {
			out = append(out, s.partOf(policy.Protocol(p))...)
			continue
		}
		first := p
		for p < 255 && s.full[p+1] {
			p++
		}
		switch {
		case first == 0 && p == 255:
			return []Allowed{{Protocol: "All"}}
		case first == p:
			out = append(out, Allowed{Protocol: policy.Protocol(p).String()})
		default:
			out = append(out, Allowed{Protocol: strconv.Itoa(first) + "-" + strconv.Itoa(p)})
		}
	}
	return out
}

// partOf writes down a protocol of which some is in the set.
func (s *l4) partOf(p policy.Protocol) []Allowed {
	for _, part := range s.ports {
		if part.protocol == p {
			return []Allowed{{Protocol: p.String(), Ports: spansText(part.spans)}}
		}
	}
	for _, part := range s.icmp {
		if part.protocol == p {
			return []Allowed{{Protocol: p.String(), Types: typesText(part.runs)}}
		}
	}
	return nil
}

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

// String returns "TCP 80,443", "ICMP 8/0", "IPv6 All", "TCP 80 (GET /items/...)".
func (a Allowed) String() string {
	words := make([]string, 0, 4)
	for _, w := range []string{a.Family, a.Protocol, a.Ports + a.Types} {
		if w != "" {
			words = append(words, w)
		}
	}
	if a.HTTP != nil {
		words = append(words, "("+requests(a.HTTP).String()+")")
	}
	return strings.Join(words, " ")
}
