package modeltest

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// seedInCI makes properties draw the same in every run of CI, so that a change is
// judged by what it changes. New cases are what other runs draw, and "make explore".
const seedInCI = "20261121"

// Main runs a package's tests with a number of cases for each property, unless
// the command line says another one: checks of them by default, inCI of them
// where CI=true, few with -short. With CI=true the cases are always the same ones.
func Main(m *testing.M, checks, inCI int) {
	flag.Parse()
	set := map[string]string{"rapid.checks": strconv.Itoa(checks)}
	if os.Getenv("CI") == "true" {
		set["rapid.checks"], set["rapid.seed"] = strconv.Itoa(inCI), seedInCI
	}
	if testing.Short() {
		set["rapid.checks"] = "50"
	}
	flag.Visit(func(f *flag.Flag) { delete(set, f.Name) })
	for name, value := range set {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}
