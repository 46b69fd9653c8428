package analyze_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain sets how many cases the properties try, unless the command line
// says so: few with -short, some by default, thousands where CI=true.
func TestMain(m *testing.M) {
	flag.Parse()
	checks := "1000"
	if os.Getenv("CI") == "true" {
		checks = "5000"
	}
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "rapid.checks" {
			checks = f.Value.String()
		}
	})
	if testing.Short() {
		checks = "50"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}
