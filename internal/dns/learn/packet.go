package learn

import (
	"errors"
	"net/netip"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/nfqueue"
)

// packet looks at one packet: it goes at once, or waits for what it states.
func (l *Learner) packet(q *nfqueue.Queue, p nfqueue.Packet) {
	l.mu.Lock()
	generation, client := l.learn(p.Payload)
	wait := generation > l.inForce
	now := p.ID // goes at once
	if wait {
		l.stats.Delayed++
		var over bool
		if now, over = l.waiting.add(waitingAnswer{p.ID, generation, l.cfg.now(), l.namespaces[client]}); over {
			l.stats.Late++
		} else {
			now = 0
		}
	}
	news := wait && generation > l.flushed
	l.mu.Unlock()
	if now != 0 {
		l.accept(q, now)
	}
	if news {
		l.cfg.News()
	}
}

// learn takes in what a packet states, and gives the generation that it has to wait
// for, 0 for none, and whom it is for. The caller holds mu.
func (l *Learner) learn(b []byte) (generation uint64, client netip.Addr) {
	l.stats.Answers++
	p, ok := dns.ParsePacket(b)
	if !ok {
		l.stats.Malformed++
		return 0, client
	}
	now := l.cfg.now()
	message := func(msg []byte) uint64 {
		switch err := l.answer.Parse(msg); {
		case errors.Is(err, dns.ErrNoAnswer):
			l.stats.Useless++
		case err != nil:
			l.stats.Malformed++
		default:
			l.table.NoteAliases(l.answer.Records[0].Name, l.answer.Aliases, p.Dst, now)
			return l.table.Learn(l.answer.Records, p.Dst, now)
		}
		return 0
	}
	if p.TCP {
		return l.streams.Add(&p, now, message), p.Dst
	}
	return message(p.Payload), p.Dst
}
