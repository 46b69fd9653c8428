package dataplane

import "net/netip"

// DNSQueueRules say which answers of DNS servers wait in a queue, for somebody who
// holds them up until what they state is in force.
type DNSQueueRules struct {
	// Servers are the servers that are trusted, by the addresses at which clients ask
	// them: for a service, its own address. Without any there are no rules.
	Servers []netip.Addr
	// Clients are who the answers are for.
	Clients []netip.Addr
	// Queue is the number of the kernel's queue in which answers wait. What nobody
	// takes out of the queue, because nobody has opened it, passes.
	Queue uint16
}
