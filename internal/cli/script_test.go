package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/hostile"
)

// TestMain makes the test binary serve as the program `tierwall` in scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tierwall": runAsProgram,
		// kubectl runs its plugins under their own names.
		command.KubectlPlugin: runAsProgram,
	})
}

func runAsProgram() {
	os.Exit(RunAs(context.Background(), os.Args[0], os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func writeFile(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

// exits is the script command `exits CODE program args...`: exec that demands
// an exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program args...")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if want, _ := strconv.Atoi(args[0]); code != want {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// exceptions writes a policy of so many rules for everybody but one address: exceptions N FILE.
func exceptions(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(hostile.Exceptions(n).Manifests), 0o600))
}

// TestScripts runs the scripts in testdata/script: the command line as a user
// meets it. Set UPDATE_SCRIPTS=1 to write the outputs that cmp compares with.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "apiserver": apiserver, "exceptions": exceptions},
	})
}
