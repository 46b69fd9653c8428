package dataplane

import "github.com/tierwall/tierwall/policy"

// overlay lays one row over another: it visits disjoint boxes that together hold all of
// layer 4 space, sorted by protocol, Dst, Src, in each of which both rows are of one mind, with
// the region of each, until visit returns false. Both rows must be complete. It takes as long as
// both rows, and where source ports matter, as the columns that they share.
func overlay(a, b Row, visit func(box, a, b Region) bool) {
	i, j := 0, 0
	for proto := 0; proto <= 255; {
		p := policy.Protocol(proto)
		endA, endB := protocolEnd(a, i, p), protocolEnd(b, j, p)
		if endA == i+1 && endB == j+1 { // both say one thing to it, and perhaps to more
			last := min(a[i].LastProtocol, b[j].LastProtocol)
			box := a[i]
			box.FirstProtocol, box.LastProtocol = p, last
			if !visit(box, a[i], b[j]) {
				return
			}
			proto = int(last) + 1
		} else {
			if !overlayProtocol(p, a[i:endA], b[j:endB], visit) {
				return
			}
			proto++
		}
		i, j = behind(a, i, endA, proto), behind(b, j, endB, proto)
	}
}

// protocolEnd returns the end of the regions from row[i] on that are of the protocol.
func protocolEnd(row Row, i int, p policy.Protocol) int {
	for i < len(row) && row[i].FirstProtocol <= p && p <= row[i].LastProtocol {
		i++
	}
	return i
}

// behind returns where the regions of the next protocol begin: row[i:end] are of the one before.
func behind(row Row, i, end, next int) int {
	if i < end && int(row[end-1].LastProtocol) >= next {
		return i
	}
	return end
}

// overlayProtocol lays the columns of one protocol over one another.
func overlayProtocol(p policy.Protocol, a, b Row, visit func(box, a, b Region) bool) bool {
	colA, errA := a.Columns(p)
	colB, errB := b.Columns(p)
	if errA != nil || errB != nil {
		return true // not rows: Check refuses them
	}
	for len(colA) > 0 && len(colB) > 0 {
		dst := Range{max(colA[0].Dst.First, colB[0].Dst.First), min(colA[0].Dst.Last, colB[0].Dst.Last)}
		cellsA, cellsB := colA[0].Cells, colB[0].Cells
		for len(cellsA) > 0 && len(cellsB) > 0 {
			x, y := cellsA[0], cellsB[0]
			box := x
			box.Dst = dst
			box.Src = Range{max(x.Src.First, y.Src.First), min(x.Src.Last, y.Src.Last)}
			if !visit(box, x, y) {
				return false
			}
			if x.Src.Last == box.Src.Last {
				cellsA = cellsA[1:]
			}
			if y.Src.Last == box.Src.Last {
				cellsB = cellsB[1:]
			}
		}
		if colA[0].Dst.Last == dst.Last {
			colA = colA[1:]
		}
		if len(colB) > 0 && colB[0].Dst.Last == dst.Last {
			colB = colB[1:]
		}
	}
	return true
}

// deniesSomeOf reports whether there is a flow that the row denies and the other allows.
func (r Row) deniesSomeOf(other Row) (found bool) {
	overlay(r, other, func(_, is, was Region) bool {
		found = !is.Allow && was.Allow
		return !found
	})
	return found
}

// Exceptions returns what the row says otherwise than another one: the boxes where their
// verdicts or deciders differ, with those of the row, sorted by protocol, Dst, Src. Both must be complete.
func (r Row) Exceptions(other Row) Row {
	var list Row
	var before, strip []Region // of the spans of destinations before this one, and of this one
	flush := func() {
		if len(before) > 0 && len(strip) > 0 && adjoins(before[0], strip[0]) && sameCells(before, strip) {
			for i := range before {
				before[i].Dst.Last = strip[0].Dst.Last
			}
		} else if len(strip) > 0 {
			at := len(list)
			list = append(list, strip...)
			before = list[at:]
		}
		strip = strip[:0]
	}
	overlay(r, other, func(box, is, was Region) bool {
		if is.Allow == was.Allow && is.Decider == was.Decider {
			return true
		}
		if n := len(strip); n > 0 && (strip[0].FirstProtocol != box.FirstProtocol || strip[0].Dst != box.Dst) {
			flush()
		}
		if n := len(strip); n > 0 && int(strip[n-1].Src.Last)+1 == int(box.Src.First) && strip[n-1].Allow == box.Allow && strip[n-1].Decider == box.Decider {
			strip[n-1].Src.Last = box.Src.Last
			return true
		}
		strip = append(strip, box)
		return true
	})
	flush()
	return list
}

// adjoins reports whether the destinations of b follow those of a, of the same protocol.
func adjoins(a, b Region) bool {
	return a.FirstProtocol == b.FirstProtocol && a.LastProtocol == b.LastProtocol && a.FirstProtocol == a.LastProtocol &&
		int(a.Dst.Last)+1 == int(b.Dst.First)
}
