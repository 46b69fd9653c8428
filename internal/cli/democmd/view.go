package democmd

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/demo"
)

// view shows a demo while it runs: a table per scenario, row by row, or a line per
// scenario.
type view struct {
	w     io.Writer
	style output.Style
	brief bool // a line per scenario
	brevity
	widths [3]int // of the columns whose cells differ in length
	shown  int    // scenarios so far
	err    error  // the first one of writing
}

func (v *view) printf(format string, args ...any) {
	if v.err == nil {
		_, v.err = fmt.Fprintf(v.w, format, args...)
	}
}

// Scenario measures the columns and writes title and header.
func (v *view) Scenario(s *demo.ScenarioReport) {
	if v.brief {
		v.beginLine(s)
		return
	}
	header := [3]string{"FROM", "TO", "CONNECTION"}
	for i, h := range header {
		v.widths[i] = utf8.RuneCountInString(h)
	}
	for _, step := range s.Steps {
		for _, row := range slices.Concat(step.Live, step.Rows) {
			for i, cell := range [3]string{row.From, row.To, row.Service()} {
				v.widths[i] = max(v.widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	if v.shown++; v.shown > 1 {
		v.printf("\n")
	}
	v.printf("%s: %s\n", v.style.Bold(s.Name), s.Title)
	v.printf("%s\n", v.style.Dim(v.line("  ", header, "POLICY", "KERNEL", "DECIDED BY")))
}

// Step says what changed, if it is not the first one.
func (v *view) Step(step *demo.Step) {
	if step.Why != "" && !v.brief {
		v.printf("  %s %s\n", v.style.Bold("then"), step.Why)
	}
}

// Row writes one connection, and below it what does not agree.
func (v *view) Row(row *demo.Row) {
	if v.brief {
		v.count(row)
		return
	}
	mark := v.style.Green("ok")
	if !row.Agree {
		mark = v.style.Red("!!")
	}
	kernel := row.Kernel
	if row.Live() { // of a connection that was open, say what became of it
		kernel = map[string]string{"Allow": "lives", "Deny": "cut"}[row.Kernel]
	}
	v.printf("%s\n", v.line(mark, [3]string{row.From, row.To, row.Service()},
		v.verdict(row.Policy, row.Policy), v.verdict(row.Kernel, kernel), v.style.Dim(row.DecidedBy())))
	for _, d := range row.Differs {
		v.printf("     %s\n", v.style.Red(d))
	}
}

// verdict paints a cell of six characters.
func (v *view) verdict(verdict, text string) string {
	text = output.Pad(text, 6)
	switch verdict {
	case "Allow":
		return v.style.Green(text)
	case "Deny":
		return v.style.Yellow(text)
	}
	return v.style.Red(text)
}

func (v *view) line(mark string, cells [3]string, policy, kernel, by string) string {
	var b strings.Builder
	b.WriteString(mark)
	for i, cell := range cells {
		b.WriteString("  ")
		b.WriteString(output.Pad(cell, v.widths[i]))
	}
	return b.String() + "  " + policy + "  " + kernel + "  " + by
}

// closing sums up, and names what differs once more.
func (v *view) closing(r *demo.Report) {
	rows, differing := r.Count()
	sum := fmt.Sprintf("%s, %s in %s", output.Count(len(r.Scenarios), "scenario"), output.Count(rows, "connection"),
		fmt.Sprintf("%.1f s", time.Duration(r.Took).Seconds()))
	if r.Agree {
		v.printf("\n%s: what was promised, what policy says and what the kernel did %s.\n", sum, v.style.Green("agree on all of them"))
		if v.brief {
			v.printf("Every connection, and who decided it: %s demo --scenario %s, or of all: %[1]s demo -v\n", cmp.Or(v.program, "tierwall"), r.Scenarios[0].Name)
		}
		return
	}
	v.printf("\n%s: %s\n", sum, v.style.Red(fmt.Sprintf("%d of them differ", differing)))
	if len(r.Scenarios) == 1 && !v.brief {
		return // they are in sight
	}
	for _, s := range r.Scenarios {
		for _, step := range s.Steps {
			for _, row := range slices.Concat(step.Live, step.Rows) {
				if !row.Agree {
					v.printf("  %s: %s -> %s %s: %s\n", s.Name, row.From, row.To, row.Service(), strings.Join(row.Differs, "; "))
				}
			}
		}
	}
}
