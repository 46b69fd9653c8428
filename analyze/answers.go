package analyze

import (
	"maps"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// What a hook before connection tracking allows is allowed only if the answers get through
// the same node as well, each of them judged by itself: see evaluate/answer.go. An answer
// goes the way back, from the destination's port to the ephemeral one that the connection
// came from. So the rows are read a second time with both ports exchanged: what a row then
// holds are the connections of which it says the same of the answers.

// answers says which connections that a node does not track get their answers through it.
type answers struct {
	reading                     // of what is said of answers
	known   map[answerKey]int32 // numbers of the connections' reading
	splitAt uint16              // an ephemeral port of which answers may be treated differently; 0: none
}

// answerKey is a question that was answered: what the node of p lets through of the answers
// of what one hook of it does not track, between p and a class.
type answerKey struct {
	hook  policy.Hook
	p     enforcement
	class int32
}

// newAnswers returns nil where everything is tracked: where no hook before connection tracking governs.
func newAnswers(d *dataplane.Delta, h *hosts, http *httpRules) *answers {
	if h == nil || !h.hasRaw() {
		return nil
	}
	reversed := *d
	reversed.AddRows = maps.Clone(d.AddRows)
	for id, row := range d.AddRows {
		reversed.AddRows[id] = ofAnswers(row)
	}
	a := &answers{reading: newReading(newTables(&reversed, http), h, true), known: map[answerKey]int32{}}
	var tracked L4Set // and what belongs to no connection does not pass where these are
	tracked.full.add(policy.TCP)
	tracked.full.add(policy.SCTP)
	a.begins = a.number(Grant{open: tracked.Complement()})
	return a
}

// ofAnswers returns the row that says of connections what the given one says of their answers.
func ofAnswers(row dataplane.Row) dataplane.Row {
	out := make(dataplane.Row, 0, len(row))
	for _, r := range row {
		switch p := r.FirstProtocol; {
		case p != r.LastProtocol:
			out = append(out, r) // all of each of them
		case p.HasPorts():
			r.Dst, r.Src = r.Src, r.Dst
			out = append(out, r)
		case p.IsICMP():
			out = appendAnswered(out, r)
		default:
			out = append(out, r)
		}
	}
	return out
}

// appendAnswered appends regions of the ICMP types whose answers are in a region.
func appendAnswered(out dataplane.Row, r dataplane.Region) dataplane.Row {
	types := r.Dst
	open := false // the last region of out is of the type before
	for t := range uint16(256) {
		if answer := uint16(r.FirstProtocol.ICMPAnswer(uint8(t))); answer < types.First || answer > types.Last {
			open = false
			continue
		}
		if !open {
			r.Dst.First = t
			out = append(out, r)
			open = true
		}
		out[len(out)-1].Dst.Last = t
	}
	return out
}

// answered returns the connections between p and a class whose answers the node of p lets
// through, where a hook of it does not track them; as a number of the connections' reading.
func (a *answers) answered(of *reading, hook policy.Hook, p *enforcement, class int32) int32 {
	k := answerKey{hook, *p, class}
	n, known := a.known[k]
	if !known {
		let := &a.grants.values[a.back(hook, p, class)]
		n = of.number(Grant{open: let.reached()}) // an answer is no request
		a.known[k] = n
	}
	return n
}

// back is answered as a number of its own reading.
func (a *answers) back(hook policy.Hook, p *enforcement, class int32) int32 {
	said := func(program, to int32) int32 {
		a.splitAt = lowerSplit(a.splitAt, a.programs[program].splitAt)
		return a.cellOf(program, to)
	}
	if hook == policy.HookRawOut { // they come in
		return a.coming(p, class, [4]int32{said(p.in[0], class), said(p.in[1], class), said(p.in[2], class), said(p.in[3], class)}, everything)
	}
	set := a.leaving(p, class, [3]int32{said(p.out[0], class), said(p.out[1], class), said(p.out[2], class)})
	if p.host {
		return set
	}
	toWorkload := func(program int32) int32 { return said(program, p.class) }
	in, governed := a.atLink(p.linkIn, class, toWorkload)
	if governed {
		in = a.both(in, a.begins)
	}
	set = a.both(set, a.both(a.sending(p, class, in, toWorkload), said(p.egress, class)))
	if p.egress != 0 || p.ingress != 0 {
		set = a.both(set, a.begins)
	}
	return set
}
