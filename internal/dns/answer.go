package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Record is what an answer states: the name has the address for so long. For the
// names along a chain of aliases (CNAME), that is as long as all of the rest of the
// chain holds.
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
type Answer struct {
	// Records is what the last message states: of the name that was asked for, and of
	// its aliases. Records about anything else are passed over.
	Records []Record

	aliases map[string]alias
	addrs   []Record
	chain   []alias // from the name that was asked for, with the names themselves
}

type alias struct {
	name string // that the alias leads to
	ttl  uint32
}

// Parse reads one message as DNS servers send it. Whatever the bytes are, it gives
// records or an error. What a message says before it is cut off counts.
func (a *Answer) Parse(msg []byte) error {
	a.Records, a.addrs = a.Records[:0], a.addrs[:0]
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

// follow finds the records that count among those of a message: of the name that was asked for, and of each
// alias between it and the addresses.
func (a *Answer) follow(name string) {
	a.chain = a.chain[:0]
	for {
		next, aliased := a.aliases[name]
		a.chain = append(a.chain, alias{name, next.ttl})
		if !aliased {
			break
		}
		if len(a.chain) > maxChain {
			return // in a circle, perhaps
		}
		name = next.name
	}
	for _, r := range a.addrs {
		if r.Name != name || !usable(r.Addr) {
			continue
		}
		ttl := uint32(r.TTL)
		for i := len(a.chain) - 1; i >= 0; i-- {
			c := a.chain[i]
			if i < len(a.chain)-1 {
				ttl = min(ttl, c.ttl)
			}
			a.Records = append(a.Records, Record{c.name, r.Addr, seconds(ttl)})
		}
	}
}

// usable leaves out addresses that can be nobody's beyond this host, which blocking
// resolvers answer with, and that a name must not open: a pod's own loopback is not
// policy's business, and the unspecified address is no destination.
func usable(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast()
}

// seconds returns a record's time to live: with its first bit set it is 0 (RFC 2181, 8).
func seconds(ttl uint32) time.Duration {
	if ttl>>31 != 0 {
		return 0
	}
	return time.Duration(ttl) * time.Second
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
