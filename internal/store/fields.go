package store

import (
	"cmp"
	"strings"
)

// compareFields orders fields as they are counted: nets[2] comes before nets[10].
func compareFields(a, b string) int {
	for a != "" && b != "" {
		n, m := digits(a), digits(b)
		if n > 0 && m > 0 {
			// Indexes have no leading zeros, so the longer one is the greater.
			if c := cmp.Or(cmp.Compare(n, m), strings.Compare(a[:n], b[:m])); c != 0 {
				return c
			}
			a, b = a[n:], b[m:]
			continue
		}
		if a[0] != b[0] {
			break
		}
		a, b = a[1:], b[1:]
	}
	return strings.Compare(a, b)
}

// digits counts the digits at the beginning.
func digits(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}
