package engine_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// canonical writes tables down without their numbers: a class is the addresses
// and nets it holds, a row its regions with the names of who decides, a program
// its rows by class. Tables that differ only in numbers give the same lines;
// one entry too many or too few gives others.
func (tb *tables) canonical() []string {
	members := map[dataplane.ClassID][]string{}
	for _, a := range slices.SortedFunc(maps.Keys(tb.addrs), netip.Addr.Compare) {
		members[tb.addrs[a]] = append(members[tb.addrs[a]], a.String())
	}
	for _, n := range slices.SortedFunc(maps.Keys(tb.nets), netip.Prefix.Compare) {
		members[tb.nets[n]] = append(members[tb.nets[n]], n.String())
	}
	classes := map[dataplane.ClassID]string{}
	var out []string
	for id := range tb.classes {
		classes[id] = "{" + strings.Join(members[id], " ") + "}"
		out = append(out, "class "+classes[id])
	}
	for _, d := range tb.deciders {
		out = append(out, fmt.Sprintf("decider %v %v %q %v", d.Direction, d.By, d.Logs, d.Skips))
	}
	rows := map[dataplane.RowID]string{}
	for id, row := range tb.rows {
		rows[id] = tb.rowText(row)
		out = append(out, "row "+rows[id])
	}
	cells := map[dataplane.ProgramID][]string{}
	for k, row := range tb.cells {
		cells[k.program] = append(cells[k.program], classes[k.class]+" "+rows[row])
	}
	programs := map[dataplane.ProgramID]string{0: "none"}
	for id, base := range tb.programs {
		slices.Sort(cells[id])
		programs[id] = fmt.Sprintf("base %s cells %v", rows[base], cells[id])
		out = append(out, "program "+programs[id])
	}
	for _, l := range tb.locals {
		out = append(out, fmt.Sprintf("local %v on %q egress %s ingress %s to-node %s", l.Addr, l.Interface, programs[l.Egress], programs[l.Ingress], programs[l.ToNode]))
	}
	for _, p := range tb.attachments {
		var of []string
		for _, x := range p.Programs {
			of = append(of, classes[x.Class]+" "+programs[x.Program])
		}
		slices.Sort(of)
		out = append(out, fmt.Sprintf("attachment %v base %s classes %v", p.AttachmentKey, programs[p.Base], of))
	}
	slices.Sort(out)
	return out
}

func (tb *tables) rowText(row dataplane.Row) string {
	var b strings.Builder
	for _, r := range row {
		by := "nobody"
		if r.Decider != 0 {
			d := tb.deciders[r.Decider]
			by = fmt.Sprintf("%v/%v/%q/%v", d.Direction, d.By, d.Logs, d.Skips)
		}
		fmt.Fprintf(&b, "[%d-%d %d-%d %d-%d %v %s]", r.FirstProtocol, r.LastProtocol, r.Dst.First, r.Dst.Last, r.Src.First, r.Src.Last, r.Allow, by)
	}
	return b.String()
}

// missing returns the lines of a that b lacks, as often as it lacks them.
func missing(a, b []string) []string {
	count := map[string]int{}
	for _, s := range b {
		count[s]++
	}
	var out []string
	for _, s := range a {
		if count[s]--; count[s] < 0 {
			out = append(out, s)
		}
	}
	return out
}

// sameTables ends the test if tables differ otherwise than in numbers.
func sameTables(t fataler, got, want *tables, context string) {
	t.Helper()
	g, w := got.canonical(), want.canonical()
	if slices.Equal(g, w) {
		return
	}
	t.Fatalf("%s: the tables are not those made from scratch\nleft over:\n%s\nlacking:\n%s", context, lines(missing(g, w)), lines(missing(w, g)))
}

func lines(list []string) string { return "  " + strings.Join(list, "\n  ") }

func compareRegions(a, b dataplane.Region) int {
	return cmp.Or(
		cmp.Compare(a.FirstProtocol, b.FirstProtocol),
		cmp.Compare(a.Dst.First, b.Dst.First),
		cmp.Compare(a.Src.First, b.Src.First),
	)
}

// checkSorted demands that a delta's lists are sorted.
func (tb *tables) checkSorted(problems *[]string, d *dataplane.Delta) {
	sorted := func(what string, ok bool) {
		if !ok {
			*problems = append(*problems, what+" is not sorted")
		}
	}
	sorted("AddDeciders", slices.IsSortedFunc(d.AddDeciders, func(a, b dataplane.Decider) int { return cmp.Compare(a.ID, b.ID) }))
	sorted("DelDeciders", slices.IsSorted(d.DelDeciders))
	sorted("DelRows", slices.IsSorted(d.DelRows))
	sorted("SetPrograms", slices.IsSortedFunc(d.SetPrograms, func(a, b dataplane.Program) int { return cmp.Compare(a.ID, b.ID) }))
	sorted("DelPrograms", slices.IsSorted(d.DelPrograms))
	sorted("SetCells", slices.IsSortedFunc(d.SetCells, func(a, b dataplane.Cell) int {
		return cmp.Or(cmp.Compare(a.Program, b.Program), cmp.Compare(a.Class, b.Class))
	}))
	sorted("SetLocals", slices.IsSortedFunc(d.SetLocals, func(a, b dataplane.Local) int { return a.Addr.Compare(b.Addr) }))
	sorted("DelLocals", slices.IsSortedFunc(d.DelLocals, netip.Addr.Compare))
	sorted("DelAddrs", slices.IsSortedFunc(d.DelAddrs, netip.Addr.Compare))
	sorted("DelNets", slices.IsSortedFunc(d.DelNets, netip.Prefix.Compare))
	sorted("AddClasses", slices.IsSorted(d.AddClasses))
	sorted("DelClasses", slices.IsSorted(d.DelClasses))
}

var _ = policy.Egress
