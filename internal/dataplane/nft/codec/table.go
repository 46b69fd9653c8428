package codec

import "golang.org/x/sys/unix"

// TableID names a table of a network namespace.
type TableID struct {
	Family uint8 // NFPROTO_INET or NFPROTO_BRIDGE
	Name   string
}

// String returns the table as nft writes it.
func (t TableID) String() string {
	if t.Family == unix.NFPROTO_BRIDGE {
		return "bridge " + t.Name
	}
	return "inet " + t.Name
}
