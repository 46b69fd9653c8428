package main

import (
	"fmt"
	"strings"
	"time"
)

// needsNamespaces is in the reason of every test that package internal/lab skips because
// it cannot make network namespaces.
const needsNamespaces = "this test needs network namespaces"

// summary prints what was skipped, whether the kernel was tested, what failed, and the counts.
func (r *report) summary(took time.Duration) {
	kernel := 0
	if len(r.skipped) > 0 {
		r.printf("\nskipped:\n")
	}
	for _, s := range r.skipped {
		r.printf("     %s %s: %s\n", s.pkg, s.test, s.reason)
		if strings.Contains(s.reason, needsNamespaces) {
			kernel++
		}
	}
	if kernel > 0 {
		r.printf("\n%s\nNOT TESTED: THE KERNEL. %s did not run, because network namespaces cannot be made here:\n"+
			"run the tests as root, or allow unprivileged user namespaces on this machine\n"+
			"(sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0).\n%s\n",
			strings.Repeat("!", 100), count(kernel, "test"), strings.Repeat("!", 100))
	}
	if len(r.failed) > 0 {
		r.printf("\nfailed:\n")
	}
	for _, f := range r.failed {
		r.printf("     %s\n", f)
	}
	word := "ok"
	if !r.ok() {
		word = "FAIL"
	}
	packages := r.packages["pass"] + r.packages["fail"]
	text := fmt.Sprintf("%s, %s: %d passed, %d failed, %d skipped", count(packages, "package"),
		count(r.tests["pass"]+r.tests["fail"]+r.tests["skip"], "test"), r.tests["pass"], r.tests["fail"], r.tests["skip"])
	if kernel > 0 {
		text += ", THE KERNEL NOT TESTED"
	}
	r.printf("\n%s: %s, in %v\n", word, text, took.Round(time.Second))
}
