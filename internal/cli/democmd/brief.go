package democmd

import (
	"unicode/utf8"

	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/demo"
)

// brevity is what a line per scenario needs: it is written when the last of its rows is
// settled.
type brevity struct {
	program  string // as it was called; empty: tierwall
	width    int    // of names
	scenario *demo.ScenarioReport
	left     int // rows of the scenario that are to come
	verdicts map[string]int
	differ   int
}

// measure finds the width of the names.
func (v *view) measure(names []string) {
	for _, n := range names {
		v.width = max(v.width, utf8.RuneCountInString(n))
	}
}

// beginLine notes the scenario that the next rows are of.
func (v *view) beginLine(s *demo.ScenarioReport) {
	v.scenario, v.left, v.differ, v.verdicts = s, 0, 0, map[string]int{}
	for _, step := range s.Steps {
		v.left += len(step.Live) + len(step.Rows)
	}
}

// count takes a row in, and writes the line after the last one.
func (v *view) count(row *demo.Row) {
	v.verdicts[row.Kernel]++
	if !row.Agree {
		v.differ++
	}
	if v.left--; v.left > 0 {
		return
	}
	mark, tail := v.style.Green("ok"), ""
	if v.differ > 0 {
		mark, tail = v.style.Red("!!"), v.style.Red("  ("+output.Count(v.differ, "connection")+" other than promised)")
	}
	v.printf("%s  %s  %2d allowed, %2d denied  %s%s\n", mark, v.style.Bold(output.Pad(v.scenario.Name, v.width)), v.verdicts["Allow"], v.verdicts["Deny"], v.style.Dim(v.scenario.Title), tail)
}
