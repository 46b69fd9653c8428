// Package nft is the dataplane on nftables. It speaks netlink to the kernel,
// keeps one table of its own and never touches another. File names.go describes the
// table; every Apply is one atomic batch.
//
// The files stand on floors. What is on one floor uses what is below it, and
// nothing above:
//
//	checking, reading   check, checkdns, comparison: the kernel's tables against what they should be
//	                    readback, walk…, boundaries: the tables as they were read, and packets and frames on their way through them
//	what callers ask    nft, links, dnsqueue, counters, cut, resume: the methods of Dataplane
//	steps               step, stepbefore, stepafter, stepcells, stepslots, stephosts, stepswitch:
//	                    the difference that a delta makes
//	what is in force    dataplane; bridgetable and dnstable, the tables beside the one
//	the way there       writer, tableswap, oldcounters, options
//	the whole table     layout: what is derived from a state; full: all that the table holds
//	what it is made of  workloads, entries, classswitch, rows, deciders, log
//	                    host…: hooks, attachments, programs, rules of host endpoints
//	                    antispoofing, bridgecontent, dnscontent, heartbeat
//	tables of lookups   flatten: nets as intervals; slots: numbers of classes
//	names and words     names, hostnames, order, family, match, sets, sink
package nft
