package nft

import "golang.org/x/sys/unix"

// tableID names a table of a network namespace.
type tableID struct {
	family uint8 // NFPROTO_INET or NFPROTO_BRIDGE
	name   string
}

// String returns the table as nft writes it.
func (t tableID) String() string {
	if t.family == unix.NFPROTO_BRIDGE {
		return "bridge " + t.name
	}
	return "inet " + t.name
}
