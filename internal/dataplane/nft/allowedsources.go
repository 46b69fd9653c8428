package nft

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// An endpoint may have further sources, in ranges that its administrator allows
// (dataplane.Link.Sources): a virtual address that moves, answers in a service's name.
// They are rules in a chain of the interface, where only what has none of the
// interface's own addresses arrives:
//
//	iif vmap @allowed-source     (the interface: goto allowed-source-12)
//	chain allowed-source-12      ip saddr 192.0.2.0/24 goto guard-workload4
//	                             goto dropped-source
//
// The same is asked of other fields: see allowedField.

// allowedSources are the interfaces that have such ranges, sorted.
type allowedSources []dataplane.Link

// allowedOf returns those that are ports, or are not.
func allowedOf(links []dataplane.Link, ports bool) allowedSources {
	var list allowedSources
	for _, l := range links {
		if l.Port == ports && l.Index > 0 && len(l.Sources) > 0 {
			l.Sources = normalNets(l.Sources)
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b dataplane.Link) int { return cmp.Compare(a.Index, b.Index) })
	return list
}

func (a allowedSources) equal(o allowedSources) bool {
	return slices.EqualFunc(a, o, func(x, y dataplane.Link) bool {
		return x.Index == y.Index && slices.Equal(x.Sources, y.Sources)
	})
}

// allowedField is a field in which such a source may stand.
type allowedField struct {
	name  string
	match func(family int) []codec.Expr // packets that have it; nil: none of the family have
	load  func(family int) codec.Expr
	then  func(family int) codec.Verdict
	guard dataplane.Guard // drops all others
}

func returnsOf(int) codec.Verdict { return returns }

// fields are those of a table: that for IP, or that of the bridge family.
func (allowedSources) fields(bridge bool) []allowedField {
	match, workload := isFamily, func(family int) codec.Verdict { return goTo(workloadChain(family)) }
	if bridge {
		match = isEtherIP
	}
	fields := []allowedField{
		{"allowed-source", match, func(family int) codec.Expr { return address(family, source) }, workload, dataplane.GuardSource},
		{"allowed-embedded", match, embeddedDestination, returnsOf, dataplane.GuardICMPError},
	}
	if bridge {
		only := func(family int, match []codec.Expr) func(int) []codec.Expr {
			return func(f int) []codec.Expr {
				if f == family {
					return match
				}
				return nil
			}
		}
		fields = append(fields,
			allowedField{"allowed-arp", only(0, isEther(etherARP)), func(int) codec.Expr { return arpSource }, returnsOf, dataplane.GuardSource},
			allowedField{"allowed-target", only(1, isEther(etherIPv6)), func(int) codec.Expr { return advertTarget }, returnsOf, dataplane.GuardSource})
	}
	return fields
}

// to leads to the chains of a field; nothing if there are none.
func (a allowedSources) to(field string, match []codec.Expr) []codec.Rule {
	if len(a) == 0 {
		return nil
	}
	byLink := []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaIIF}, bySet(field)}
	return []codec.Rule{{Exprs: join(match, byLink)}}
}

func (a allowedSources) toSource() []codec.Rule { return a.to("allowed-source", nil) }

func (a allowedSources) toEmbedded() []codec.Rule { return a.to("allowed-embedded", nil) }

// emit hands out the maps and chains.
func (a allowedSources) emit(out sink, bridge bool) {
	if len(a) == 0 {
		return
	}
	for _, f := range a.fields(bridge) {
		out.AddSet(codec.SetSpec{Name: f.name, KeyType: codec.IfIndex, KeyLen: 4, Verdicts: true})
		for _, l := range a {
			c := codec.ChainRules{Name: fmt.Sprintf("%s-%d", f.name, l.Index)}
			for _, p := range l.Sources {
				family := familyOf(p.Addr())
				if match := f.match(family); match != nil {
					c.Rules = append(c.Rules, when(join(match, within(f.load(family), p)), f.then(family)))
				}
			}
			c.Rules = append(c.Rules, always(droppedBy(f.guard)))
			out.AddChain(c)
			out.AddElement(f.name, codec.Element{Key: linkKey(l.Index), Verdict: goTo(c.Name)})
		}
	}
}

// within matches a field that holds an address of a net.
func within(load codec.Expr, p netip.Prefix) []codec.Expr {
	return []codec.Expr{
		load,
		{Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: load.Length, Data: netMask(p.Bits(), int(load.Length))},
		is(p.Masked().Addr().AsSlice()...),
	}
}
