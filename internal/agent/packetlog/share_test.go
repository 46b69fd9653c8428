package packetlog

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_800_000_000, 0)

// TestFlood: 200 rules of one namespace that log 20,000 packets a second leave another's
// its lines, and the node's log its bound.
func TestFlood(t *testing.T) {
	s := newShares(500)
	wrote := map[string]int{}
	for second := range 5 {
		for i := range 20_000 {
			now := start.Add(time.Duration(second)*time.Second + time.Duration(i)*time.Second/20_000)
			if s.take("flood", fmt.Sprintf("p%d", i%200), now) {
				wrote["flood"]++
			}
			if i%200 == 199 && s.take("shop", "db", now) { // 100 a second
				wrote["shop"]++
			}
		}
	}
	if wrote["shop"] != 500 {
		t.Errorf("%d lines of 500 of another namespace were written", wrote["shop"])
	}
	if n := wrote["flood"]; n > 500+4*250 || n < 4*200 {
		t.Errorf("%d lines were written in 5 s", n)
	}
	left, of := s.report()
	if want := fmt.Sprintf("flood %d", 100_000-wrote["flood"]); left != uint64(100_000-wrote["flood"]) || of != want {
		t.Errorf("left out: %d of %q, want %q", left, of, want)
	}
	if left, of := s.report(); left != 0 || of != "" {
		t.Errorf("told twice: %d of %q", left, of)
	}
}

// TestPoliciesShare: within a namespace, too.
func TestPoliciesShare(t *testing.T) {
	s := newShares(100)
	wrote := map[string]int{}
	for second := range 3 {
		for i := range 1000 {
			policy := "loud"
			if i%50 == 49 {
				policy = "quiet"
			}
			if s.take("shop", policy, start.Add(time.Duration(second)*time.Second)) {
				wrote[policy]++
			}
		}
	}
	if wrote["quiet"] != 60 || wrote["loud"] > 200 {
		t.Errorf("written: %v", wrote)
	}
}

// TestReportNamesFew: many namespaces make no long line.
func TestReportNamesFew(t *testing.T) {
	s := newShares(1)
	for i := range 20 {
		for range 3 + i {
			s.take(fmt.Sprintf("n%02d", i), "p", start)
		}
	}
	s.take("", "global", start)
	s.take("", "global", start)
	if _, of := s.report(); of != "n19 21, n18 20, n17 19, n16 18, n15 17, and 16 more" {
		t.Errorf("reported: %s", of)
	}
}

// TestSharesAreBounded: whoever logs when, a second has at most as many lines as the most
// for one who was there before, and memory ends.
func TestSharesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const lines = 24
		s := newShares(lines)
		names := rapid.IntRange(1, 6).Draw(t, "namespaces")
		now, wrote := start, map[string]int{}
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			if rapid.IntRange(0, 30).Draw(t, "later") == 0 {
				now = now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
				clear(wrote)
			}
			of := fmt.Sprint(rapid.IntRange(1, names).Draw(t, "namespace"))
			wasThere := s.present[of] != nil
			if s.take(of, fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "policy")), now) {
				wrote[of]++
			} else if !wasThere {
				t.Error("the first packet of a namespace is left out")
			}
			sum := 0
			for _, n := range wrote {
				sum += n
			}
			if sum > lines*names || wrote[of] > lines {
				t.Errorf("%d lines in a second: %v", sum, wrote)
			}
		}
		s.report()
		s.turn(now.Add(time.Minute))
		if len(s.present) != 0 {
			t.Errorf("%d namespaces are left", len(s.present))
		}
	})
}
