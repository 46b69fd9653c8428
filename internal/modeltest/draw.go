package modeltest

import (
	"math/bits"

	"pgregory.net/rapid"
)

// below draws a number from 0 to n-1, each about equally likely: rapid's own
// ranges prefer small numbers, so that what stands late in a list would hardly
// ever be drawn. It shrinks towards 0.
func below(t *rapid.T, n int, label string) int {
	v := 0
	for range bits.Len(uint(n - 1)) {
		v <<= 1
		if coin.Draw(t, label) {
			v |= 1
		}
	}
	return v % n
}

var coin = rapid.Bool()

// upTo draws a number from lo to hi.
func upTo(t *rapid.T, lo, hi int, label string) int { return lo + below(t, hi-lo+1, label) }

// one draws an element of a list.
func one[T any](t *rapid.T, list []T, label string) T { return list[below(t, len(list), label)] }

// chance draws true in about percent of a hundred cases; it shrinks to false.
func chance(t *rapid.T, percent int, label string) bool {
	return below(t, 128, label) >= 128-percent*128/100
}

// some draws between lo and hi elements.
func some[T any](t *rapid.T, lo, hi int, label string, draw func() T) []T {
	var out []T
	for range upTo(t, lo, hi, label) {
		out = append(out, draw())
	}
	return out
}
