package engine

import (
	"hash/maphash"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Hashes lead to candidates, which are then compared; only keys of
// objects are told apart by their hash alone, which has 128 bits from two seeds that no one
// outside the process knows.
var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// mix spreads a running hash over all bits before the next part is added.
func mix(h, part uint64) uint64 {
	h = (h ^ part) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

func hashString(s string) uint64 { return maphash.String(seeds[0], s) }

// hashLabel is the hash of a label; hashPresence that of its key alone.
func hashLabel(key, value string) uint64 { return mix(mix(1, hashString(key)), hashString(value)) }

func hashPresence(key string) uint64 { return mix(2, hashString(key)) }

// hashPortName is the hash under which identities with a port of that name are indexed.
func hashPortName(name string) uint64 { return mix(3, hashString(name)) }

// hashIdentity hashes the numbers of labels, and ports.
func hashIdentity(labels []uint32, ports []policy.NamedPort) uint64 {
	h := uint64(len(labels))
	for _, l := range labels {
		h = mix(h, uint64(l))
	}
	for _, p := range ports {
		h = mix(mix(h, hashString(p.Name)), uint64(p.Protocol)<<16|uint64(p.Port))
	}
	return h
}

// hashRow hashes all of a row's regions.
func hashRow(row dataplane.Row) uint64 {
	h := uint64(len(row))
	for _, r := range row {
		h = mix(h, maphash.Comparable(seeds[0], r))
	}
	return h
}

// keyHash stands for the three strings of a key in 16 bytes: a cluster has very
// many endpoints and policies. It is made of small parts so that it can stand
// anywhere in an entry.
type keyHash [4]uint32

func hashKey(k policy.Key) keyHash {
	var kh keyHash
	for i, seed := range seeds {
		h := mix(kindHash(k.Kind), maphash.String(seed, k.Namespace))
		h = mix(h, maphash.String(seed, k.Name))
		kh[2*i], kh[2*i+1] = uint32(h), uint32(h>>32)
	}
	return kh
}

// sum is the hash of a keyHash for an index.
func (kh keyHash) sum() uint64 { return uint64(kh[1])<<32 | uint64(kh[0]) }

// kindHash tells kinds apart, the most frequent ones without a hash.
func kindHash(kind string) uint64 {
	switch kind {
	case policy.KindPod:
		return 1
	case policy.KindWorkloadEndpoint:
		return 2
	case policy.KindNetworkPolicy:
		return 3
	case policy.KindKubernetesNetworkPolicy:
		return 4
	}
	return hashString(kind)
}
