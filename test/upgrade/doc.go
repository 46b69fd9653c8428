// Package upgrade tests that agents of two versions follow one another without
// a gap: what one left in the kernel and in its run directory, the other takes
// over, in both directions. It has no code of its own.
package upgrade
