package dataplane

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// Column is a span of destination ports (or ICMP types) of one protocol along
// which the verdict depends on the source port (or ICMP code) only: Cells hold
// the whole of that axis, sorted.
type Column struct {
	Dst   Range
	Cells []Region
}

// SaysTheSame reports whether two columns have the same verdicts along the source axis.
func (c Column) SaysTheSame(other Column) bool { return sameCells(c.Cells, other.Cells) }

// space returns the coordinates of the protocol's layer 4 space: those of a flow
// without ports or types lie at 0.
func space(p policy.Protocol) Range {
	switch {
	case p.HasPorts():
		return FullRange
	case p.IsICMP():
		return Range{0, 255}
	}
	return Range{0, 0}
}

// Contains reports whether the range holds v.
func (r Range) Contains(v uint16) bool { return r.First <= v && v <= r.Last }

// String returns "80" or "80-90".
func (r Range) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Point returns the flow's place in layer 4 space: destination and source port,
// or ICMP type and code, or 0, 0.
func Point(f policy.Flow) (dst, src uint16) {
	switch {
	case f.Protocol.HasPorts():
		return f.DstPort, f.SrcPort
	case f.Protocol.IsICMP():
		return uint16(f.ICMPType), uint16(f.ICMPCode)
	}
	return 0, 0
}

// At returns the region of the row that holds the flow; false where a row is not complete.
func (r Row) At(f policy.Flow) (Region, bool) {
	dst, src := Point(f)
	for _, g := range r {
		if g.FirstProtocol <= f.Protocol && f.Protocol <= g.LastProtocol && g.Dst.Contains(dst) && g.Src.Contains(src) {
			return g, true
		}
	}
	return Region{}, false
}

// Columns cuts the part of the row that is of one protocol into columns, as few
// as there can be, clipped to the protocol's space. It fails if the regions
// overlap or leave a gap.
func (r Row) Columns(p policy.Protocol) ([]Column, error) {
	whole := space(p)
	regions := r.within(p, whole)
	if columns, err := stripColumns(regions, whole); err == nil {
		return columns, nil
	}
	starts := []uint16{0}
	for _, g := range regions {
		starts = append(starts, g.Dst.First)
		if g.Dst.Last < whole.Last {
			starts = append(starts, g.Dst.Last+1)
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	regions = slices.Clone(regions)
	slices.SortFunc(regions, func(a, b Region) int { return cmp.Compare(a.Src.First, b.Src.First) })
	var columns []Column
	for i, first := range starts {
		span := Range{first, whole.Last}
		if i+1 < len(starts) {
			span.Last = starts[i+1] - 1
		}
		cells, err := column(regions, span, whole)
		if err != nil {
			return nil, fmt.Errorf("protocol %v: %w", p, err)
		}
		columns = appendColumn(columns, Column{span, cells})
	}
	return columns, nil
}

// within returns the regions of a protocol, clipped to its space: the row's own where
// nothing has to be clipped, so they must not be changed.
func (r Row) within(p policy.Protocol, whole Range) []Region {
	first := 0
	for first < len(r) && r[first].LastProtocol < p {
		first++
	}
	last := first
	same := true
	for last < len(r) && r[last].FirstProtocol <= p {
		g := r[last]
		same = same && g.FirstProtocol == p && g.LastProtocol == p && g.Dst.Last <= whole.Last && g.Src.Last <= whole.Last
		last++
	}
	if same {
		return r[first:last:last]
	}
	var regions []Region
	for _, g := range r[first:last] {
		if g.Dst.First > whole.Last || g.Src.First > whole.Last {
			continue
		}
		g.FirstProtocol, g.LastProtocol = p, p
		g.Dst.Last, g.Src.Last = min(g.Dst.Last, whole.Last), min(g.Src.Last, whole.Last)
		regions = append(regions, g)
	}
	return regions
}

// stripColumns makes columns of regions that are in strips: sorted by Dst, and those that
// are not of equal Dst apart. The engine's rows are, so that this takes no longer than they have regions.
func stripColumns(regions []Region, whole Range) ([]Column, error) {
	var columns []Column
	next := 0
	for len(regions) > 0 {
		n, span := 1, regions[0].Dst
		for n < len(regions) && regions[n].Dst == span {
			n++
		}
		if int(span.First) != next {
			return nil, fmt.Errorf("not in strips at %v", span)
		}
		cells := regions[:n:n]
		if !isColumn(cells, whole) {
			var err error
			if cells, err = column(cells, span, whole); err != nil {
				return nil, err
			}
		}
		columns = appendColumn(columns, Column{span, cells})
		next, regions = int(span.Last)+1, regions[n:]
	}
	if next != int(whole.Last)+1 {
		return nil, fmt.Errorf("no region holds %d", next)
	}
	return columns, nil
}

// isColumn reports whether regions of one span of destinations are the cells of its column as they
// are: none is missing, and neighbours differ.
func isColumn(regions []Region, whole Range) bool {
	next := 0
	for i, g := range regions {
		if int(g.Src.First) != next || i > 0 && regions[i-1].Allow == g.Allow && regions[i-1].Decider == g.Decider {
			return false
		}
		next = int(g.Src.Last) + 1
	}
	return next == int(whole.Last)+1
}

// appendColumn appends a column, or widens the last one if that says the same.
func appendColumn(columns []Column, c Column) []Column {
	if n := len(columns); n > 0 && sameCells(columns[n-1].Cells, c.Cells) {
		columns[n-1].Dst.Last = c.Dst.Last
		columns[n-1].Cells = slices.Clone(columns[n-1].Cells) // they may be the row's own
		for k := range columns[n-1].Cells {
			columns[n-1].Cells[k].Dst.Last = c.Dst.Last
		}
		return columns
	}
	return append(columns, c)
}

// column returns the verdicts along the source axis at one span of destinations,
// through which no border of a region runs. The regions are sorted by source.
func column(regions []Region, span, whole Range) ([]Region, error) {
	var cells []Region
	next := 0
	for _, g := range regions {
		if !g.Dst.Contains(span.First) {
			continue
		}
		switch {
		case int(g.Src.First) < next:
			return nil, fmt.Errorf("two regions hold %v from %d", span, g.Src.First)
		case int(g.Src.First) > next:
			return nil, fmt.Errorf("no region holds %v from %d", span, next)
		}
		next = int(g.Src.Last) + 1
		g.Dst = span
		if n := len(cells); n > 0 && cells[n-1].Allow == g.Allow && cells[n-1].Decider == g.Decider {
			cells[n-1].Src.Last = g.Src.Last
			continue
		}
		cells = append(cells, g)
	}
	if next != int(whole.Last)+1 {
		return nil, fmt.Errorf("no region holds %v from %d", span, next)
	}
	return cells, nil
}

func sameCells(a, b []Region) bool {
	return slices.EqualFunc(a, b, func(x, y Region) bool {
		return x.Src == y.Src && x.Allow == y.Allow && x.Decider == y.Decider
	})
}

// Check reports what keeps the row from being one: a region out of shape or out
// of order, an overlap, a gap.
func (r Row) Check() error {
	next := 0 // the first protocol that no region has held yet
	for i, g := range r {
		if err := g.check(); err != nil {
			return fmt.Errorf("region %d: %w", i, err)
		}
		if i > 0 && compareRegions(r[i-1], g) >= 0 {
			return fmt.Errorf("region %d is not sorted behind the one before it", i)
		}
		switch first, last := int(g.FirstProtocol), int(g.LastProtocol); {
		case first == next:
			next = last + 1
		case first == next-1 && first == last && r[i-1].LastProtocol == g.FirstProtocol && r[i-1].FirstProtocol == g.FirstProtocol:
			// another region of the protocol of the one before
		case first < next:
			return fmt.Errorf("region %d: protocol %d is in two regions", i, first)
		default:
			return fmt.Errorf("no region holds protocol %d", next)
		}
		if g.FirstProtocol == g.LastProtocol {
			if i+1 < len(r) && r[i+1].FirstProtocol == g.FirstProtocol {
				continue // the last region of a protocol checks them all
			}
			if _, err := r.Columns(g.FirstProtocol); err != nil {
				return err
			}
		}
	}
	if next != 256 {
		return fmt.Errorf("no region holds protocol %d", next)
	}
	return nil
}

func (g Region) check() error {
	if g.FirstProtocol > g.LastProtocol || g.Dst.First > g.Dst.Last || g.Src.First > g.Src.Last {
		return fmt.Errorf("%v: a range ends before it begins", g)
	}
	whole := space(g.FirstProtocol)
	if (g.FirstProtocol != g.LastProtocol || whole.Last == 0) && (g.Dst != FullRange || g.Src != FullRange) {
		return fmt.Errorf("%v: several protocols, or one without ports and types, have full ranges", g)
	}
	if g.Dst.First > whole.Last || g.Src.First > whole.Last {
		if g.FirstProtocol == g.LastProtocol {
			return fmt.Errorf("%v: outside of the protocol's space", g)
		}
	}
	if !g.Allow && g.Decider == 0 {
		return fmt.Errorf("%v: denies without a decider", g)
	}
	return nil
}

func compareRegions(a, b Region) int {
	return cmp.Or(
		cmp.Compare(a.FirstProtocol, b.FirstProtocol),
		cmp.Compare(a.Dst.First, b.Dst.First),
		cmp.Compare(a.Src.First, b.Src.First),
	)
}

// String returns the region as one line of a dump.
func (g Region) String() string {
	verdict := "deny"
	if g.Allow {
		verdict = "allow"
	}
	text := fmt.Sprint("proto ", g.FirstProtocol)
	if g.FirstProtocol != g.LastProtocol {
		text += fmt.Sprint("-", g.LastProtocol)
	}
	if g.Dst != FullRange {
		text += fmt.Sprint(" dst ", g.Dst)
	}
	if g.Src != FullRange {
		text += fmt.Sprint(" src ", g.Src)
	}
	text += " " + verdict
	if g.Decider != 0 {
		text += fmt.Sprint(" d", g.Decider)
	}
	return text
}
