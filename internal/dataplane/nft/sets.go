package nft

import "github.com/tierwall/tierwall/internal/dataplane/nft/codec"

// addrMap is a verdict map keyed by address.
func addrMap(name string, family int) codec.SetSpec {
	return codec.SetSpec{Name: name, KeyType: addrType(family), KeyLen: addrLen(family), Verdicts: true}
}

func addrSet(name string, family int) codec.SetSpec {
	return codec.SetSpec{Name: name, KeyType: addrType(family), KeyLen: addrLen(family)}
}

// sized is a set of addresses with capacity for as many.
func sized(name string, family, capacity int) codec.SetSpec {
	s := addrSet(name, family)
	s.Size = uint32(capacity)
	return s
}

// capacityFor returns how much capacity a set of n addresses gets: half as much again. When
// that is used up, the table is written anew, with more.
func capacityFor(n int) int { return n + n/2 + 1024 }

// usage says how many addresses are in a set, and how many there can be.
type usage struct{ used, capacity int }
