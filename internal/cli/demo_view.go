package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tierwall/tierwall/internal/demo"
)

// demoView shows a demo while it runs: a table per scenario, row by row.
type demoView struct {
	w      io.Writer
	style  style
	widths [3]int // of the columns whose cells differ in length
	shown  int    // scenarios so far
	err    error  // the first one of writing
}

func (v *demoView) printf(format string, args ...any) {
	if v.err == nil {
		_, v.err = fmt.Fprintf(v.w, format, args...)
	}
}

// Scenario measures the columns and writes title and header.
func (v *demoView) Scenario(s *demo.ScenarioReport) {
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
	v.printf("%s: %s\n", v.style.bold(s.Name), s.Title)
	v.printf("%s\n", v.style.dim(v.line("  ", header, "POLICY", "KERNEL", "DECIDED BY")))
}

// Step says what changed, if it is not the first one.
func (v *demoView) Step(step *demo.Step) {
	if step.Why != "" {
		v.printf("  %s %s\n", v.style.bold("then"), step.Why)
	}
}

// Row writes one connection, and below it what does not agree.
func (v *demoView) Row(row *demo.Row) {
	mark := v.style.green("ok")
	if !row.Agree {
		mark = v.style.red("!!")
	}
	kernel := row.Kernel
	if row.Live() { // of a connection that was open, say what became of it
		kernel = map[string]string{"Allow": "lives", "Deny": "cut"}[row.Kernel]
	}
	v.printf("%s\n", v.line(mark, [3]string{row.From, row.To, row.Service()},
		v.verdict(row.Policy, row.Policy), v.verdict(row.Kernel, kernel), v.style.dim(row.DecidedBy())))
	for _, d := range row.Differs {
		v.printf("     %s\n", v.style.red(d))
	}
}

// verdict paints a cell of six characters.
func (v *demoView) verdict(verdict, text string) string {
	text = pad(text, 6)
	switch verdict {
	case "Allow":
		return v.style.green(text)
	case "Deny":
		return v.style.yellow(text)
	}
	return v.style.red(text)
}

func (v *demoView) line(mark string, cells [3]string, policy, kernel, by string) string {
	var b strings.Builder
	b.WriteString(mark)
	for i, cell := range cells {
		b.WriteString("  ")
		b.WriteString(pad(cell, v.widths[i]))
	}
	return b.String() + "  " + policy + "  " + kernel + "  " + by
}

// closing sums up, and names what differs once more.
func (v *demoView) closing(r *demo.Report) {
	rows, differing := r.Count()
	sum := fmt.Sprintf("%s, %s in %s", plural(len(r.Scenarios), "scenario"), plural(rows, "connection"),
		fmt.Sprintf("%.1f s", time.Duration(r.Took).Seconds()))
	if r.Agree {
		v.printf("\n%s: what was promised, what policy says and what the kernel did %s.\n", sum, v.style.green("agree on all of them"))
		return
	}
	v.printf("\n%s: %s\n", sum, v.style.red(fmt.Sprintf("%d of them differ", differing)))
	if len(r.Scenarios) == 1 {
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

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "s") {
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}
