// Package dns knows which addresses names have, from the answers of DNS servers
// that are trusted: it reads messages, keeps the records that they state for as long
// as they hold, and says which of them concern the domains in use. It does no I/O
// but for the file that keeps records from one agent to the next, and has no clock:
// whoever calls it says what time it is.
//
// A record is "this name has this address until then". Two names on one address are
// two records, and each stands by itself: what is asked is always which addresses a
// domain has, never which name an address has.
package dns
