package packetlog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// shares bound how many lines a second are written, and give each namespace, and within
// it each policy, the same part of them: packets of one tenant, however many rules log
// them, leave others theirs.
//
// A part is that of who has logged lately (recently): who begins in a second in which
// others have taken all gets its part all the same. It is for one goroutine.
type shares struct {
	lines   int // a second, in all
	began   time.Time
	present map[string]*namespace
	left    uint64 // packets that were left out, since the last report
}

// namespace is one that packets were logged of.
type namespace struct {
	part
	policies map[string]*part
	left     uint64
}

// part is what was written in this second.
type part struct {
	lines int
	last  time.Time // the second in which a packet came last
}

const (
	second = time.Second
	// recently is how long who logs counts.
	recently = 10 * second
	// maxNamed is how many namespaces a report names.
	maxNamed = 5
)

func newShares(lines int) *shares {
	return &shares{lines: lines, present: map[string]*namespace{}}
}

// take reports whether a packet of a policy's rule is to be written.
func (s *shares) take(of, policy string, now time.Time) bool {
	if now.Sub(s.began) >= second || now.Before(s.began) {
		s.turn(now)
	}
	n := s.present[of]
	if n == nil {
		n = &namespace{policies: map[string]*part{}}
		s.present[of] = n
	}
	p := n.policies[policy]
	if p == nil {
		p = &part{}
		n.policies[policy] = p
	}
	n.last, p.last = s.began, s.began
	mine := max(1, s.lines/len(s.present))
	if n.lines >= mine || p.lines >= max(1, mine/len(n.policies)) {
		n.left++
		s.left++
		return false
	}
	n.lines++
	p.lines++
	return true
}

// turn begins another second, and forgets who has not logged recently and has nothing to
// be reported.
func (s *shares) turn(now time.Time) {
	s.began = now
	old := func(p *part) bool { p.lines = 0; return now.Sub(p.last) > recently }
	for name, n := range s.present {
		maps.DeleteFunc(n.policies, func(_ string, p *part) bool { return old(p) })
		if old(&n.part) && n.left == 0 {
			delete(s.present, name)
		}
	}
}

// report returns how many packets were left out since it was last called, and of which
// namespaces.
func (s *shares) report() (left uint64, of string) {
	left, s.left = s.left, 0
	if left == 0 {
		return 0, ""
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(s.present)), func(name string) bool { return s.present[name].left == 0 })
	slices.SortStableFunc(names, func(a, b string) int {
		x, y := s.present[a].left, s.present[b].left
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	var texts []string
	for i, name := range names {
		if i < maxNamed {
			word := name
			if word == "" {
				word = "(none)"
			}
			texts = append(texts, fmt.Sprintf("%s %d", word, s.present[name].left))
		}
		s.present[name].left = 0
	}
	if more := len(names) - maxNamed; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return left, strings.Join(texts, ", ")
}
