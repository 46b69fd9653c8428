package nft

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// Boundaries returns the values at which what was read back may change its
// verdict, as its sets and rules name them.
func (k *Kernel) Boundaries() dataplane.Boundaries {
	f := finder{
		kernel: k, locals: map[netip.Addr]bool{}, addrs: map[netip.Addr]bool{},
		protocols: map[uint16]bool{}, axes: map[axisKey]map[uint16]bool{},
	}
	for _, p := range paths {
		if s := k.sets[p.String()]; s != nil {
			for key := range s.elements {
				f.addAddr(f.locals, key)
			}
		}
	}
	for _, rules := range k.chains {
		for _, r := range rules {
			f.rule(r)
		}
	}
	return dataplane.Boundaries{
		Locals: slices.SortedFunc(maps.Keys(f.locals), netip.Addr.Compare),
		Addrs:  slices.SortedFunc(maps.Keys(f.addrs), netip.Addr.Compare),
		Points: f.points(),
	}
}

// axisKey is an axis of one protocol's layer 4 space: the bytes at an offset of
// the transport header.
type axisKey struct {
	protocol       policy.Protocol
	offset, length uint32
}

type finder struct {
	kernel        *Kernel
	locals, addrs map[netip.Addr]bool
	protocols     map[uint16]bool
	axes          map[axisKey]map[uint16]bool
}

func (f *finder) addAddr(to map[netip.Addr]bool, key string) {
	if a, ok := netip.AddrFromSlice([]byte(key)); ok {
		to[a] = true
	}
}

// rule notes the values that a rule compares what it loaded with.
func (f *finder) rule(r codec.Rule) {
	var loaded codec.Expr
	mask := "" // that the loaded value was put under
	protocol := policy.Protocol(0)
	for _, e := range r.Exprs {
		switch e.Kind {
		case codec.MetaLoad, codec.PayloadLoad, codec.CTLoad:
			loaded, mask = e, ""
		case codec.BitwiseAnd:
			mask = e.Data
		case codec.Compare:
			if loaded.Kind == codec.MetaLoad && loaded.Key == codec.MetaL4Proto && len(e.Data) == 1 {
				protocol = policy.Protocol(e.Data[0])
			}
			f.value(loaded, protocol, e.Data, lastUnder(mask, e.Data))
		case codec.InRange:
			f.value(loaded, protocol, e.Data, e.To)
		case codec.Lookup, codec.VerdictMap:
			s := f.kernel.sets[e.Set]
			for key := range s.elements {
				f.value(loaded, protocol, key, lastUnder(mask, key))
			}
			for _, e := range s.intervals {
				f.value(loaded, protocol, e.Key, e.Key)
			}
		}
	}
}

// lastUnder returns the last value that is another one under a mask; without one, that itself.
func lastUnder(mask, value string) string {
	if len(mask) != len(value) {
		return value
	}
	b := []byte(value)
	for i := range b {
		b[i] |= ^mask[i]
	}
	return string(b)
}

// value notes a span of values: its ends, and their neighbours outside.
func (f *finder) value(loaded codec.Expr, protocol policy.Protocol, first, last string) {
	switch {
	case loaded.Kind == codec.PayloadLoad && loaded.Key == codec.NetworkHeader:
		for _, key := range []string{first, last} {
			f.addAddr(f.addrs, key)
			if a, ok := netip.AddrFromSlice([]byte(key)); ok && a.Prev().IsValid() {
				f.addrs[a.Prev()] = true
			}
		}
		if a, ok := netip.AddrFromSlice([]byte(last)); ok && first != last && a.Next().IsValid() {
			f.addrs[a.Next()] = true
		}
	case loaded.Kind == codec.MetaLoad && loaded.Key == codec.MetaL4Proto:
		addNumbers(f.protocols, first, last, 255)
	case loaded.Kind == codec.PayloadLoad && loaded.Key == codec.TransportHeader:
		key := axisKey{protocol, loaded.Offset, loaded.Length}
		if f.axes[key] == nil {
			f.axes[key] = map[uint16]bool{}
		}
		addNumbers(f.axes[key], first, last, 1<<(8*min(loaded.Length, 2))-1)
	}
}

func addNumbers(to map[uint16]bool, first, last string, most int) {
	for _, n := range []int{number(first) - 1, number(first), number(last), number(last) + 1} {
		if 0 <= n && n <= most {
			to[uint16(n)] = true
		}
	}
}

func number(key string) int {
	n := 0
	for i := range min(len(key), 2) {
		n = n<<8 | int(key[i])
	}
	return n
}

// ephemeral is a source port that rules seldom name.
const ephemeral = 49152

// maxPoints bounds the points of one protocol at which both axes are at a border.
const maxPoints = 4096

// points combines what was found on the axes.
func (f *finder) points() []policy.Flow {
	set := map[policy.Flow]bool{}
	for n := range f.protocols {
		p := policy.Protocol(n)
		dsts := f.axis(destinationAxis(p), p, 0)
		srcs := f.axis(sourceAxis(p), p, ephemeral)
		if len(dsts)*len(srcs) > maxPoints {
			srcs = srcs[:1]
		}
		for _, dst := range dsts {
			for _, src := range srcs {
				set[flowAt(p, dst, src)] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b policy.Flow) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.DstPort, b.DstPort), cmp.Compare(a.SrcPort, b.SrcPort),
			cmp.Compare(a.ICMPType, b.ICMPType), cmp.Compare(a.ICMPCode, b.ICMPCode))
	})
}

// axis returns a usual value and the borders that were found.
func (f *finder) axis(a axis, p policy.Protocol, usual uint16) []uint16 {
	load := a.load[len(a.load)-1]
	list := []uint16{min(usual, a.last)}
	return append(list, slices.Sorted(maps.Keys(f.axes[axisKey{p, load.Offset, load.Length}]))...)
}

func flowAt(p policy.Protocol, dst, src uint16) policy.Flow {
	switch {
	case p.HasPorts():
		return policy.Flow{Protocol: p, DstPort: dst, SrcPort: src}
	case p.IsICMP():
		return policy.Flow{Protocol: p, ICMPType: uint8(dst), ICMPCode: uint8(src)}
	}
	return policy.Flow{Protocol: p}
}
