package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Suite says which of the upstream end-to-end tests to run.
type Suite struct {
	// Focus is a regular expression that the names of the tests match, such as "Netpol".
	Focus string
	// Processes is how many tests run at a time; 4 if it is 0.
	Processes int
	// Output takes what the suite prints, if it is not nil.
	Output io.Writer
}

// SuiteResult is how the tests went.
type SuiteResult struct {
	// Closing is the suite's own last word: "Ran 50 of 7592 Specs in 96.402 seconds",
	// and "SUCCESS! -- 50 Passed | 0 Failed | ...".
	Closing        string
	Passed, Failed int
	Failures       []SuiteFailure
	Took           time.Duration
}

// SuiteFailure is a test that failed.
type SuiteFailure struct{ Name, Message, Output string }

var (
	ranLine    = regexp.MustCompile(`(?m)^Ran \d+ of \d+ Specs.*$`)
	resultLine = regexp.MustCompile(`(?m)^(?:SUCCESS|FAIL)! -- (?:[^|\n]*-- )?(\d+) Passed \| (\d+) Failed \|.*$`)
)

// RunSuite runs upstream tests in the cluster, building them if that has not been done yet. Tests that fail
// are no error; that the suite could not run is one.
func (c *Cluster) RunSuite(ctx context.Context, s Suite) (SuiteResult, error) {
	if _, err := BuildSuite(ctx, os.Stderr); err != nil {
		return SuiteResult{}, err
	}
	if err := c.nameSuiteImages(ctx); err != nil {
		return SuiteResult{}, fmt.Errorf("cluster: suite: %w", err)
	}
	scratch, err := os.MkdirTemp(c.dir, "suite-")
	if err != nil {
		return SuiteResult{}, fmt.Errorf("cluster: suite: %w", err)
	}
	processes := s.Processes
	if processes == 0 {
		processes = 4
	}
	cmd := c.cp.Command(ctx, "ginkgo",
		"--procs="+strconv.Itoa(processes), "--no-color", "--silence-skips", "--focus="+s.Focus,
		"--output-dir="+scratch, "--json-report=report.json",
		c.parts.Program("e2e.test"), "--",
		"--provider=skeleton", "--kubeconfig="+c.Kubeconfig(), "--kubectl-path="+c.parts.Program("kubectl"),
		"--num-nodes="+strconv.Itoa(len(c.nodes)))
	cmd.Dir = scratch
	cmd.Env = append(cmd.Env, "TMPDIR="+scratch)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	var output bytes.Buffer
	cmd.Stdout = &output
	if s.Output != nil {
		cmd.Stdout = io.MultiWriter(&output, s.Output)
	}
	cmd.Stderr = cmd.Stdout
	start := time.Now()
	err = cmd.Run()
	result := SuiteResult{Took: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return result, fmt.Errorf("cluster: suite: %w", err)
	}
	numbers := resultLine.FindStringSubmatch(output.String())
	if ctx.Err() != nil || numbers == nil {
		return result, fmt.Errorf("cluster: suite: it did not come to its end (%w): %s", errors.Join(err, ctx.Err()), tail(output.String(), 30))
	}
	result.Closing = ranLine.FindString(output.String()) + "\n" + numbers[0]
	result.Passed, _ = strconv.Atoi(numbers[1])
	result.Failed, _ = strconv.Atoi(numbers[2])
	result.Failures, err = readReport(filepath.Join(scratch, "report.json"))
	if err != nil {
		return result, fmt.Errorf("cluster: suite: %w", err)
	}
	return result, nil
}

// tail is the end of a text.
func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// readReport reads what failed from the suite's report.
func readReport(path string) ([]SuiteFailure, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var suites []struct {
		SpecReports []struct {
			ContainerHierarchyTexts    []string
			LeafNodeText               string
			State                      string
			Failure                    struct{ Message string }
			CapturedGinkgoWriterOutput string
		}
	}
	if err := json.Unmarshal(b, &suites); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var failures []SuiteFailure
	for _, s := range suites {
		for _, r := range s.SpecReports {
			switch r.State {
			case "passed", "skipped", "pending":
				continue
			}
			name := strings.Join(append(r.ContainerHierarchyTexts, r.LeafNodeText), " ")
			failures = append(failures, SuiteFailure{name, r.Failure.Message, r.CapturedGinkgoWriterOutput})
		}
	}
	return failures, nil
}

// nameSuiteImages returns agnhost the names by which the suite asks for it.
func (c *Cluster) nameSuiteImages(ctx context.Context) error {
	list, err := c.cp.Run(ctx, c.parts.Program("e2e.test"), "--list-images")
	if err != nil {
		return err
	}
	var names []string
	for _, name := range strings.Fields(list) {
		if strings.Contains(name, "/agnhost:") {
			names = append(names, name)
		}
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		all.Go(func() error {
			_, err := n.Run(ctx, "ctr", append([]string{"--namespace=k8s.io", "images", "tag", "--force", Agnhost}, names...)...)
			return err
		})
	}
	return all.Wait()
}
