package nft

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// synthetic makes the delta of a node from nothing: local endpoints 10.0.0.1 and
// on, each with an own program in both directions; one policy each with a class
// of its own, a row and two deciders. Every policy applies to one local endpoint,
// round robin. Remote addresses are 10.64.0.0 and on, spread over the classes.
func synthetic(locals, policies, remotes int) *dataplane.Delta {
	const world4, world6 = 1, 2
	d := &dataplane.Delta{
		AddRows:    map[dataplane.RowID]dataplane.Row{},
		SetAddrs:   map[netip.Addr]dataplane.ClassID{},
		SetNets:    map[netip.Prefix]dataplane.ClassID{dataplane.WholeFamilies[0]: world4, dataplane.WholeFamilies[1]: world6},
		AddClasses: []dataplane.ClassID{world4, world6},
	}
	decider := func(dir policy.Direction, name string, rule int) dataplane.DeciderID {
		id := dataplane.DeciderID(len(d.AddDeciders) + 1)
		d.AddDeciders = append(d.AddDeciders, dataplane.Decider{ID: id, Direction: dir, By: policy.Decider{
			Tier: "default", Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: name, Rule: rule,
		}})
		return id
	}
	end := [2]dataplane.DeciderID{decider(policy.Egress, "all", policy.EndOfTier), decider(policy.Ingress, "all", policy.EndOfTier)}
	d.AddRows[1] = dataplane.Row{{FirstProtocol: 0, LastProtocol: 255, Dst: all, Src: all, Decider: end[0]}}
	d.AddRows[2] = dataplane.Row{{FirstProtocol: 0, LastProtocol: 255, Dst: all, Src: all, Decider: end[1]}}
	for i := range locals {
		egress, ingress := dataplane.ProgramID(2*i+1), dataplane.ProgramID(2*i+2)
		d.SetPrograms = append(d.SetPrograms, dataplane.Program{ID: egress, Base: 1}, dataplane.Program{ID: ingress, Base: 2})
		d.SetLocals = append(d.SetLocals, dataplane.Local{Addr: localAddr(i), Egress: egress, Ingress: ingress})
	}
	cells := map[dataplane.ProgramID][]dataplane.Cell{}
	for i := range policies {
		class := dataplane.ClassID(i + 3)
		d.AddClasses = append(d.AddClasses, class)
		for dir := range dataplane.ProgramID(2) {
			id := dataplane.RowID(3 + 2*i + int(dir))
			d.AddRows[id] = portRow(decider(policy.Direction(dir), fmt.Sprintf("policy-%d", i), 0), end[dir], uint16(1000+i%1000))
			program := dataplane.ProgramID(2*(i%locals)+1) + dir
			cells[program] = append(cells[program], dataplane.Cell{Program: program, Class: class, Row: id})
		}
	}
	for _, p := range d.SetPrograms {
		d.SetCells = append(d.SetCells, cells[p.ID]...)
	}
	for i := range remotes {
		d.SetAddrs[remoteAddr(i)] = dataplane.ClassID(3 + i%policies)
	}
	return d
}

var all = dataplane.FullRange

// portRow allows one TCP port.
func portRow(allow, deny dataplane.DeciderID, port uint16) dataplane.Row {
	region := func(first, last policy.Protocol, dst dataplane.Range, id dataplane.DeciderID) dataplane.Region {
		return dataplane.Region{FirstProtocol: first, LastProtocol: last, Dst: dst, Src: all, Allow: id == allow, Decider: id}
	}
	return dataplane.Row{
		region(0, 5, all, deny),
		region(6, 6, dataplane.Range{First: 0, Last: port - 1}, deny),
		region(6, 6, dataplane.Range{First: port, Last: port}, allow),
		region(6, 6, dataplane.Range{First: port + 1, Last: 65535}, deny),
		region(7, 255, all, deny),
	}
}

func localAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i) + 1})
}

func remoteAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(64 + i>>16), byte(i >> 8), byte(i)})
}
