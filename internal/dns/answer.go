package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Record is what an answer states: the name has the address for so long. Behind
// aliases (CNAME) that is as long as all of the chain holds.
type Record struct {
	Name string // in normal form: see Domain
	Addr netip.Addr
	TTL  time.Duration
}

// ErrNoAnswer says that a message is well-formed as far as it was read, and states
// no address of what was asked for: a question, an error, another type of record.
var ErrNoAnswer = errors.New("no answer with addresses")

const (
	maxRecords = 4096 // that are looked at in one message
	maxChain   = 16   // aliases from the name that was asked for to its addresses
)

// Answer reads messages; it is used again and again, so that reading makes little
// garbage. The zero value is ready. It is not safe for concurrent use.
//
// A message states addresses of one name, the one that was asked for. Whoever runs the
// zone of that name writes the aliases and all else in the answer, and so can say
// anything of other people's names: of those nothing is believed.
type Answer struct {
	// Records is what the last message states of the name that was asked for, with the
	// addresses at the end of its aliases.
	Records []Record
	// Aliases are the names along that chain, without the one that was asked for.
	Aliases []string

	aliases map[string]alias
	addrs   []Record
}

type alias struct {
	name string // that the alias leads to
	ttl  uint32
}

// Parse reads one message as DNS servers send it. Whatever the bytes are, it gives
// records or an error. What a message says before it is cut off counts.
func (a *Answer) Parse(msg []byte) error {
	a.Records, a.Aliases, a.addrs = a.Records[:0], a.Aliases[:0], a.addrs[:0]
	clear(a.aliases)
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if !h.Response || h.OpCode != 0 || h.RCode != dnsmessage.RCodeSuccess {
		return ErrNoAnswer
	}
	q, err := p.Question()
	if err != nil {
		return fmt.Errorf("question: %w", err)
	}
	if _, err := p.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return fmt.Errorf("more than one question: %w", ErrNoAnswer)
	}
	if q.Class != dnsmessage.ClassINET || q.Type != dnsmessage.TypeA && q.Type != dnsmessage.TypeAAAA && q.Type != dnsmessage.TypeALL {
		return ErrNoAnswer
	}
	asked, ok := normalName(&q.Name)
	if !ok {
		return ErrNoAnswer
	}
	if err := a.readAnswers(&p); err != nil && !h.Truncated {
		return fmt.Errorf("answer: %w", err)
	}
	a.follow(asked)
	if len(a.Records) == 0 {
		return ErrNoAnswer
	}
	return nil
}

// readAnswers reads the answer section.
func (a *Answer) readAnswers(p *dnsmessage.Parser) error {
	for range maxRecords {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err != nil {
			return err
		}
		// The library reads an address whatever length the record says it has.
		if h.Type == dnsmessage.TypeA && h.Length != 4 || h.Type == dnsmessage.TypeAAAA && h.Length != 16 {
			return fmt.Errorf("an address of %d bytes", h.Length)
		}
		name, ok := normalName(&h.Name)
		if !ok || h.Class != dnsmessage.ClassINET {
			if err := p.SkipAnswer(); err != nil {
				return err
			}
			continue
		}
		switch h.Type {
		case dnsmessage.TypeA:
			r, err := p.AResource()
			if err != nil {
				return err
			}
			a.addrs = append(a.addrs, Record{name, netip.AddrFrom4(r.A), time.Duration(h.TTL)})
		case dnsmessage.TypeAAAA:
			r, err := p.AAAAResource()
			if err != nil {
				return err
			}
			a.addrs = append(a.addrs, Record{name, netip.AddrFrom16(r.AAAA).Unmap(), time.Duration(h.TTL)})
		case dnsmessage.TypeCNAME:
			r, err := p.CNAMEResource()
			if err != nil {
				return err
			}
			if a.aliases == nil {
				a.aliases = map[string]alias{}
			}
			// A name has one alias; of several, only the first counts. One that leads to
			// what is no name of a host ("") leads to no address.
			if _, has := a.aliases[name]; !has {
				to, _ := normalName(&r.CNAME)
				a.aliases[name] = alias{to, h.TTL}
			}
		default:
			if err := p.SkipAnswer(); err != nil {
				return err
			}
		}
	}
	return nil
}

// follow goes from the name that was asked for along its aliases, and takes the
// addresses at their end as those of the name.
func (a *Answer) follow(asked string) {
	name, ttl := asked, uint32(1<<31-1)
	for {
		next, aliased := a.aliases[name]
		if !aliased {
			break
		}
		if len(a.Aliases) == maxChain || next.name == "" {
			return // in a circle, perhaps
		}
		name, ttl = next.name, min(ttl, lifetime(next.ttl))
		a.Aliases = append(a.Aliases, name)
	}
	for _, r := range a.addrs {
		if r.Name == name {
			a.Records = append(a.Records, Record{asked, r.Addr, time.Duration(min(ttl, lifetime(uint32(r.TTL)))) * time.Second}) //nolint:gosec // as read
		}
	}
}

// lifetime returns a record's time to live in seconds: with its first bit set it is 0 (RFC 2181, 8).
func lifetime(ttl uint32) uint32 {
	if ttl>>31 != 0 {
		return 0
	}
	return ttl
}

// normalName returns a name in the form of Domain.Name; false for one that no domain
// can hold: the root, or one with characters that names of hosts do not have.
func normalName(n *dnsmessage.Name) (string, bool) {
	b := n.Data[:n.Length]
	if len(b) < 2 || len(b) > maxName+1 || b[len(b)-1] != '.' {
		return "", false
	}
	b = b[:len(b)-1]
	var lower [maxName]byte
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c != '.' && !isNameByte(c):
			return "", false
		}
		lower[i] = c
	}
	return string(lower[:len(b)]), true
}
