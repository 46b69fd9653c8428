package learn

import (
	"net/netip"
	"time"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/policy"
)

// What the table of records is told and asked, under the lock.

// SetDomains says what the domains of a set are now; nil for a set that is no more.
// What it changes comes with the next Flush.
func (l *Learner) SetDomains(key policy.Key, set *policy.Set) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table.SetDomains(key, set)
}

// SetGuard says which addresses a name must not have. What it calls is called by Flush
// and Each only.
func (l *Learner) SetGuard(g dns.Guard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table.SetGuard(g)
}

// SetClients says to which namespaces the endpoints belong that get answers. The Learner
// keeps the map.
func (l *Learner) SetClients(namespaces map[netip.Addr]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.namespaces = namespaces
	l.table.SetClients(namespaces)
	l.streams.SetClients(namespaces)
}

// Reconsider looks again at names that have one of some addresses, with the next Flush:
// these have become the cluster's.
func (l *Learner) Reconsider(addrs ...netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range addrs {
		l.table.Reconsider(a)
	}
}

// ReconsiderRefused looks again at all addresses that are refused, with the next Flush:
// some may have ceased to be the cluster's.
func (l *Learner) ReconsiderRefused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table.ReconsiderRefused()
}

// RefusesAny reports whether any address is refused.
func (l *Learner) RefusesAny() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.Suspects() > 0
}

// InUse reports whether any domain is in use: else there is nothing to learn.
func (l *Learner) InUse() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.InUse()
}

// Due reports whether some record may have expired.
func (l *Learner) Due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.Due(l.cfg.now())
}

// Expire forgets what has expired and is not in use any more: the rest holds for
// another while. It reports whether Flush has something to say.
func (l *Learner) Expire(inUse func(netip.Addr) bool, while time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.Expire(l.cfg.now(), inUse, while)
}

// Known returns every record, by name and address.
func (l *Learner) Known() []dns.Known {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.Known()
}

// MissedAliases returns the questions that led to a name that a domain holds, by aliases,
// and are not for one themselves.
func (l *Learner) MissedAliases() []dns.MissedAlias {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.MissedAliases()
}

// Namespaces returns who has how much of the room for records, the largest first.
func (l *Learner) Namespaces() []dns.NamespaceUse {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.Namespaces()
}
