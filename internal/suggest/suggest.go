// Package suggest finds the words that a user may have meant, and offers them.
package suggest

import (
	"fmt"
	"slices"
	"strings"
)

// MaxOffered is how many words Several offers at most.
const MaxOffered = 3

// Nearest returns the known word most like the given one, or "" if none is
// alike. Words that differ in case only are most alike; of equally near ones
// the first is taken.
func Nearest(word string, known []string) string {
	if word == "" {
		return ""
	}
	best, bestDistance := "", limit(word)+1
	for _, k := range known {
		if strings.EqualFold(k, word) {
			return k
		}
		// Words of very different length need no comparison.
		if d := len(k) - len(word); d >= bestDistance || -d >= bestDistance {
			continue
		}
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// DidYouMean returns `; did you mean "x"?`, or "" if no known word is alike.
func DidYouMean(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return Offer([]string{near})
	}
	return ""
}

// Several returns `; did you mean "a", "b" or "c"?` with the known words most like
// the given one, the nearest first, then those that it begins; "" if there are
// none. DidYouMean is for fields and keywords, of which only one can be meant,
// Several for names, of which several may.
func Several(word string, known []string) string {
	left := slices.Clone(known)
	var near []string
	take := func(name string) {
		near = append(near, name)
		left = slices.DeleteFunc(left, func(k string) bool { return k == name })
	}
	for len(near) < MaxOffered {
		name := Nearest(word, left)
		if name == "" {
			break
		}
		take(name)
	}
	slices.Sort(left)
	for _, name := range slices.Clone(left) {
		if len(near) < MaxOffered && len(word) > 2 && strings.HasPrefix(name, word) && !slices.Contains(near, name) {
			take(name)
		}
	}
	return Offer(near)
}

// Offer returns `; did you mean "a" or "b"?`, or "" for no words.
func Offer(words []string) string {
	if len(words) == 0 {
		return ""
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return "; did you mean " + OrList(quoted) + "?"
}

// OrList returns "a", "a or b", "a, b or c".
func OrList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// limit is how many edits may lie between a word and what was meant.
func limit(word string) int {
	switch n := len(word); {
	case n <= 2:
		return 0
	case n <= 4:
		return 1
	case n <= 8:
		return 2
	default:
		return 3
	}
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that make b of a (optimal string alignment).
func distance(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
