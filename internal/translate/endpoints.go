package translate

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// endpointTable keeps pods and WorkloadEndpoints in few bytes each. What several
// share is kept once: namespaces, nodes, what controls them, and their pod template keys
// (labels, service account, ports; see podtemplatekey.go).
type endpointTable struct {
	offline    bool
	step       *step
	objects    objectTable // of which workloads tell to whom pods belong
	namespaces *namespaceTable
	profiles   *profileIndex
	statuses   *statusTable
	errors     map[policy.Key]*objectErrors // what is wrong with which

	records compact.Slab[record]
	byKey   compact.Index

	words           *compact.Interner
	podTemplateKeys *compact.Interner
	controllers     *controllerTable
	ports           *compact.Interner // lists of named ports, encoded
	portLists       map[uint32][]policy.NamedPort
	profileTexts    *compact.Interner   // lists of profiles, but those of one's namespace only
	profileLists    map[uint32][]string // the same

	pairs compact.Slab[addrPair]
	lists map[uint32][]netip.Addr // addresses of records that need more than a pair
	links map[uint32]string       // interfaces of records

	origins map[uint32]store.Origin // for an analysis, and of records that name profiles
	// Kept for an analysis only.
	hostAddrs map[uint32][]netip.Addr // those of the node, as far as the endpoint tells

	buffer []byte          // used again and again
	own    selector.Labels // likewise
}

// record is a pod or WorkloadEndpoint.
type record struct {
	namespace      uint32 // 0 if the record is free
	controller     uint32
	podTemplateKey uint32
	node           uint32 // a word
	addr           uint32 // an IPv4 address, or the number of an addrPair
	precedence     int32
	// name is what follows the name of the controller and a dash, of the length in
	// form, or the number of a word.
	name [suffixLen]byte
	form form
}

// form says what a record is and how to read it.
type form uint16

const (
	suffixLen   = 6
	nameMask    = 7 // the length of a suffix
	nameWord    = 7 // or: the name is a word
	addrShift   = 3
	addrMask    = 7 << addrShift
	isWorkload  = 1 << 6 // a WorkloadEndpoint, and no pod
	reasonShift = 7
	reasonMask  = 3 << reasonShift
)

// The forms of addresses.
const (
	noAddr      form = iota << addrShift
	oneIPv4          // in addr itself
	oneIPv6          // in a pair
	ipv4AndIPv6      // in a pair
	ipv6AndIPv4      // in a pair
	manyAddrs        // in lists
)

// reasons are those why a record is unmanaged, by number; 0 is none.
var reasons = [4]source.Reason{"", source.HostNetwork, source.Ended, source.ScaledDown}

type addrPair struct {
	v4 [4]byte
	v6 [16]byte
}

func (r *record) managed() bool { return r.form&reasonMask == 0 }

func (r *record) reason() source.Reason { return reasons[r.form&reasonMask>>reasonShift] }

func (r *record) kind() string {
	if r.form&isWorkload != 0 {
		return policy.KindWorkloadEndpoint
	}
	return policy.KindPod
}

// isRecorded reports whether objects of the kind are kept as records.
func isRecorded(kind string) bool {
	return kind == policy.KindPod || kind == policy.KindWorkloadEndpoint
}

func newEndpointTable(offline bool, s *step, objects objectTable, namespaces *namespaceTable, profiles *profileIndex, statuses *statusTable) *endpointTable {
	t := &endpointTable{
		offline: offline, step: s, objects: objects, namespaces: namespaces, profiles: profiles, statuses: statuses,
		errors: map[policy.Key]*objectErrors{}, words: compact.NewInterner(), podTemplateKeys: compact.NewInterner(),
		ports: compact.NewInterner(), portLists: map[uint32][]policy.NamedPort{},
		profileTexts: compact.NewInterner(), profileLists: map[uint32][]string{},
		lists: map[uint32][]netip.Addr{}, links: map[uint32]string{},
		origins: map[uint32]store.Origin{}, hostAddrs: map[uint32][]netip.Addr{},
	}
	t.controllers = newControllerTable()
	t.byKey = compact.NewIndex(func(id uint32) uint64 {
		r := t.records.At(id)
		t.buffer = t.appendName(t.buffer[:0], r)
		return hashRecord(r.form, r.namespace, maphash.Bytes(seed, t.buffer)) // as of hashName
	})
	return t
}

var seed = maphash.MakeSeed()

func hashName(name string) uint64 { return maphash.String(seed, name) }

func hashRecord(f form, namespace uint32, name uint64) uint64 {
	return (name ^ uint64(namespace)<<1 ^ uint64(f&isWorkload)) * 0x9e3779b97f4a7c15
}

// find returns the record of a name in a namespace, or 0.
func (t *endpointTable) find(n *namespace, kind, name string) uint32 {
	var f form
	if kind == policy.KindWorkloadEndpoint {
		f = isWorkload
	}
	return t.byKey.Find(hashRecord(f, n.id, hashName(name)), func(id uint32) bool {
		r := t.records.At(id)
		return r.namespace == n.id && r.form&isWorkload == f && t.hasName(r, name)
	})
}

// hasName reports whether a record has the name.
func (t *endpointTable) hasName(r *record, name string) bool {
	if r.form&nameMask == nameWord {
		return t.words.At(r.nameWord()) == name
	}
	rest, found := strings.CutPrefix(name, t.words.At(t.controllers.at(r.controller).name))
	n := int(r.form & nameMask)
	return found && len(rest) == n+1 && rest[0] == '-' && rest[1:] == string(r.name[:n])
}

func (t *endpointTable) appendName(to []byte, r *record) []byte {
	if r.form&nameMask == nameWord {
		return append(to, t.words.At(r.nameWord())...)
	}
	to = append(to, t.words.At(t.controllers.at(r.controller).name)...)
	return append(append(to, '-'), r.name[:r.form&nameMask]...)
}

func (t *endpointTable) name(r *record) string {
	if r.form&nameMask == nameWord {
		return t.words.At(r.nameWord())
	}
	t.buffer = t.appendName(t.buffer[:0], r)
	return string(t.buffer)
}

func (t *endpointTable) key(r *record) policy.Key {
	return policy.Key{Kind: r.kind(), Namespace: t.namespaces.at(r.namespace).name, Name: t.name(r)}
}

func (r *record) nameWord() uint32 {
	return uint32(r.name[0]) | uint32(r.name[1])<<8 | uint32(r.name[2])<<16 | uint32(r.name[3])<<24
}

// setName keeps the name as a suffix of the controller's, where it is one.
func (t *endpointTable) setName(r *record, name string) {
	r.form &^= nameMask
	r.name = [suffixLen]byte{}
	if r.controller != 0 {
		rest, found := strings.CutPrefix(name, t.words.At(t.controllers.at(r.controller).name))
		if found && len(rest) > 1 && rest[0] == '-' && len(rest) <= suffixLen+1 {
			r.form |= form(copy(r.name[:], rest[1:]))
			return
		}
	}
	w := t.words.Retain(name)
	r.form |= nameWord
	r.name = [suffixLen]byte{byte(w), byte(w >> 8), byte(w >> 16), byte(w >> 24)}
}

// setAddrs keeps the addresses, in their order. id is the record's number.
func (t *endpointTable) setAddrs(id uint32, r *record, addrs []netip.Addr) {
	is4 := func(i int) bool { return addrs[i].Is4() }
	var f form
	switch n := len(addrs); {
	case n == 0:
	case n == 1 && is4(0):
		f = oneIPv4
		v4 := addrs[0].As4()
		r.addr = uint32(v4[0])<<24 | uint32(v4[1])<<16 | uint32(v4[2])<<8 | uint32(v4[3])
	case n == 1:
		f, r.addr = oneIPv6, t.addPair(addrPair{v6: addrs[0].As16()})
	case n == 2 && is4(0) && !is4(1):
		f, r.addr = ipv4AndIPv6, t.addPair(addrPair{addrs[0].As4(), addrs[1].As16()})
	case n == 2 && !is4(0) && is4(1):
		f, r.addr = ipv6AndIPv4, t.addPair(addrPair{addrs[1].As4(), addrs[0].As16()})
	default:
		f = manyAddrs
		t.lists[id] = slices.Clone(addrs)
	}
	r.form = r.form&^addrMask | f
}

func (t *endpointTable) addPair(p addrPair) uint32 {
	i := t.pairs.Add()
	*t.pairs.At(i) = p
	return i
}

// addrs returns the addresses of a record in a list of the caller's.
func (t *endpointTable) addrs(id uint32, r *record) []netip.Addr {
	f := r.form & addrMask
	switch f {
	case oneIPv4:
		return []netip.Addr{netip.AddrFrom4([4]byte{byte(r.addr >> 24), byte(r.addr >> 16), byte(r.addr >> 8), byte(r.addr)})}
	case manyAddrs:
		return slices.Clone(t.lists[id])
	case noAddr:
		return nil
	}
	p := t.pairs.At(r.addr)
	v4, v6 := netip.AddrFrom4(p.v4), netip.AddrFrom16(p.v6)
	switch f {
	case oneIPv6:
		return []netip.Addr{v6}
	case ipv6AndIPv4:
		return []netip.Addr{v6, v4}
	}
	return []netip.Addr{v4, v6}
}

func (t *endpointTable) dropAddrs(id uint32, r *record) {
	switch r.form & addrMask {
	case oneIPv6, ipv4AndIPv6, ipv6AndIPv4:
		t.pairs.Drop(r.addr)
	case manyAddrs:
		delete(t.lists, id)
	}
}
