// Program testrun runs `go test -json` and says what a reader of its output must not
// miss: a line for each package as it ends, failures in full, and at the end which
// tests were skipped and why, whether the kernel was tested, and the counts.
//
//	testrun go test -json ./... -- go -C tools test -json ./generate
//
// It runs the commands one after another, all of them, and ends with the exit code of the
// first that failed.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// quiet is after how long without a line the tests that are still running are named.
const quiet = time.Minute

func run(args []string, stdout, stderr io.Writer) int {
	commands := split(args)
	if len(commands) == 0 {
		_, _ = fmt.Fprintln(stderr, "usage: testrun go test -json PACKAGE... [-- go test -json PACKAGE...]")
		return 2
	}
	// An interrupt is for the tests; what they said until then is still summed up.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	start := time.Now()
	r := newReport(stdout)
	code := 0
	for _, c := range commands {
		n, err := runCommand(r, c, stderr)
		if err != nil {
			_, _ = fmt.Fprintf(stderr, "testrun: %v\n", err)
		}
		if code == 0 {
			code = n
		}
	}
	r.summary(time.Since(start))
	if code == 0 && !r.ok() {
		code = 1
	}
	return code
}

// runCommand runs one command, reports its events, and returns its exit code.
func runCommand(r *report, args []string, stderr io.Writer) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	readErr := r.read(out, tick.C)
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode(), readErr
	case err != nil: // by a signal, for example
		return 1, errors.Join(err, readErr)
	case readErr != nil:
		return 1, readErr
	}
	return 0, nil
}

// split splits arguments into commands at "--".
func split(args []string) [][]string {
	var commands [][]string
	for len(args) > 0 {
		n := slices.Index(args, "--")
		if n < 0 {
			n = len(args)
		}
		if n > 0 {
			commands = append(commands, args[:n])
		}
		args = args[min(n+1, len(args)):]
	}
	return commands
}
