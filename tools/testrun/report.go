package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// event is a line of `go test -json`: see `go doc test2json` and `go help buildjson`.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output, where there is no Package
	Test        string // empty: it is about the package
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

// report is what the events of all commands so far come to.
type report struct {
	w        io.Writer
	running  map[string]*packageRun
	packages map[string]int // ended, by outcome: "pass", "fail", "skip"
	tests    map[string]int // the same of tests, subtests included
	skipped  []skippedTest
	failed   []string // "package", "package Test"
}

type skippedTest struct{ pkg, test, reason string }

// packageRun is a package whose tests are running.
type packageRun struct {
	output  []string            // what no test said
	said    map[string][]string // by test that has not passed or been skipped
	order   []string            // the tests, as they began
	open    map[string]bool     // the tests that have not ended
	skipped int
	ended   int
}

func newReport(w io.Writer) *report {
	return &report{w: w, running: map[string]*packageRun{}, packages: map[string]int{}, tests: map[string]int{}}
}

func (r *report) ok() bool { return len(r.failed) == 0 }

func (r *report) printf(format string, args ...any) { _, _ = fmt.Fprintf(r.w, format, args...) }

// read reports the events of one command until their end. At every tick at which nothing was
// printed since the one before, it names the tests that are running.
func (r *report) read(in io.Reader, tick <-chan time.Time) error {
	lines := make(chan []byte)
	var readErr error // to be read once lines is closed
	go func() {
		defer close(lines)
		reader := bufio.NewReader(in) // a line may be as long as a test likes
		for {
			line, err := reader.ReadBytes('\n')
			if len(line) > 0 {
				lines <- line
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					readErr = err
				}
				return
			}
		}
	}()
	printed := false
	for {
		select {
		case line, more := <-lines:
			if !more {
				r.endAll()
				return readErr
			}
			var e event
			if err := json.Unmarshal(line, &e); err != nil || e.Action == "" {
				r.printf("%s", line) // not of test2json: a reader may know what it is
				printed = true
				continue
			}
			printed = r.take(&e) || printed
		case <-tick:
			if !printed {
				r.stillRunning()
			}
			printed = false
		}
	}
}

// take takes one event in, and reports whether it printed something.
func (r *report) take(e *event) bool {
	if e.Action == "build-output" {
		r.printf("%s", e.Output)
		return true
	}
	if e.Package == "" {
		return false
	}
	p := r.running[e.Package]
	if p == nil {
		p = &packageRun{said: map[string][]string{}, open: map[string]bool{}}
		r.running[e.Package] = p
	}
	if e.Test != "" {
		p.takeTest(r, e)
		return false
	}
	switch e.Action {
	case "output":
		p.output = append(p.output, e.Output)
	case "pass", "fail", "skip":
		r.endPackage(e, p)
		return true
	}
	return false
}

func (p *packageRun) takeTest(r *report, e *event) {
	switch e.Action {
	case "run":
		p.open[e.Test] = true
		p.order = append(p.order, e.Test)
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			p.said[e.Test] = append(p.said[e.Test], e.Output)
		}
	case "pass", "skip", "fail":
		r.tests[e.Action]++
		p.ended++
		delete(p.open, e.Test)
		switch e.Action {
		case "skip":
			p.skipped++
			r.skipped = append(r.skipped, skippedTest{e.Package, e.Test, reason(p.said[e.Test])})
		case "fail":
			r.failed = append(r.failed, e.Package+" "+e.Test)
			return // what it said is printed when the package ends
		}
		delete(p.said, e.Test)
	}
}

// reason returns what a test that was skipped said, on one line.
func reason(said []string) string {
	var words []string
	for _, line := range said {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "--- ") {
			words = append(words, line)
		}
	}
	if words == nil {
		return "no reason given"
	}
	return strings.Join(words, " ")
}

// endPackage prints a line of a package that has ended, after all that its failed tests said.
func (r *report) endPackage(e *event, p *packageRun) {
	delete(r.running, e.Package)
	r.packages[e.Action]++
	if e.Action == "skip" {
		return // it has no tests
	}
	word := "ok  "
	if e.Action == "fail" {
		word = "FAIL"
		r.failed = append(r.failed, e.Package)
		r.printFailure(p)
	}
	text := fmt.Sprintf("%.1fs", e.Elapsed)
	if slices.ContainsFunc(p.output, func(s string) bool { return strings.HasSuffix(s, "\t(cached)\n") }) {
		text = "cached"
	}
	if e.FailedBuild != "" {
		text = "does not build"
	} else {
		text += ", " + count(p.ended, "test")
	}
	if p.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", p.skipped)
	}
	r.printf("%s %s  %s\n", word, e.Package, text)
}

// printFailure prints what failed tests said, those that never ended, and the package.
func (r *report) printFailure(p *packageRun) {
	for _, test := range p.order {
		for _, line := range p.said[test] {
			r.printf("%s", line)
		}
		delete(p.said, test) // a name may be there twice, with -count
	}
	for _, line := range p.output {
		if line != "PASS\n" && line != "FAIL\n" && !strings.HasPrefix(line, "FAIL\t") {
			r.printf("%s", line)
		}
	}
}

// endAll takes the packages that have not said how they ended for failed.
func (r *report) endAll() {
	for _, name := range slices.Sorted(maps.Keys(r.running)) {
		r.endPackage(&event{Action: "fail", Package: name}, r.running[name])
		r.printf("%s ended without a result\n", name)
	}
}

// stillRunning names what is running.
func (r *report) stillRunning() {
	for _, name := range slices.Sorted(maps.Keys(r.running)) {
		p := r.running[name]
		var tests []string
		for _, test := range p.order {
			if p.open[test] && !strings.Contains(test, "/") {
				tests = append(tests, test)
			}
		}
		r.printf("...  %s  %s ended; running: %s\n", name, count(p.ended, "test"), strings.Join(tests, ", "))
	}
}

// count returns "1 test" or "2 tests".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
