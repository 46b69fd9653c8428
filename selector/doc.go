// Package selector is the label-selector language of the projectcalico.org/v3
// policy API: it parses selectors, gives each a canonical text, matches them
// against labels, and tells what a match requires, so that an index can find
// the candidates. It knows nothing of policy.
//
// # The language
//
//	selector   = [ or ]                              empty is all()
//	or         = and { "||" and }
//	and        = not { "&&" not }
//	not        = { "!" } operand
//	operand    = "(" or ")" | "all()" | "global()" | "has(" label ")"
//	           | label ( "==" | "!=" ) string
//	           | label ( "in" | "not in" ) "{" [ string { "," string } [ "," ] ] "}"
//	           | label ( "contains" | "starts with" | "ends with" ) string
//	label      = 1 to 512 of A-Z a-z 0-9 _ . / -
//	string     = "'" any but ' "'" | '"' any but " '"'
//
// White space (space and tab) may stand between any two tokens, but not between
// has, all or global and its parenthesis. The operators written as two words
// may also be written as one: notin, startswith, endswith. An operator word is
// one only after a label, so that labels may be called "in" or "has".
//
// A label that is absent fails ==, in, contains, starts with, ends with and
// has; it satisfies != and not in.
//
// # Canonical text
//
// [Selector.String] writes equal selectors equally, however their white space,
// quotes, redundant parentheses, double negations, trailing commas, and the
// order and repetition of values in a set were written. A negated comparison
// becomes its opposite: !(a == 'x') is a != 'x'. The order of the operands of
// && and || is kept.
package selector
