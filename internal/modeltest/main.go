package modeltest

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Main runs a package's tests with a number of cases for each property, unless
// the command line says another one: checks of them by default, inCI of them
// where CI=true, few with -short.
func Main(m *testing.M, checks, inCI int) {
	flag.Parse()
	n := strconv.Itoa(checks)
	if os.Getenv("CI") == "true" {
		n = strconv.Itoa(inCI)
	}
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "rapid.checks" {
			n = f.Value.String()
		}
	})
	if testing.Short() {
		n = "50"
	}
	if err := flag.Set("rapid.checks", n); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}
