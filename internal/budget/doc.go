// Package budget says how much one object costs the nodes that it decides on, and how much it
// may: nothing that a tenant writes may make an agent die or stop a node. A manifest of a
// megabyte can ask for billions of regions, by products of ports with ports, and of nets
// with rules.
//
// What it relies on:
//
//   - The cost is computed from the object alone, so that every node, the controller and
//     `tierwall validate` decide alike, whatever else there is. What several policies cost
//     together is no matter of this package.
//   - It is an upper bound of what the engine makes of the object, times a small factor, and
//     never less for an object that says more. How it is computed takes no more than the size of the
//     object times its logarithm: never as long as what it is to prevent.
package budget

// The limits, each with what is needed at most, and what it bounds. An agent that is given a policy at
// one of them needs at most some 250 MB beside what it has without, and a few seconds of one processor.
const (
	// MaxRules is how many rules a policy may have: one for each peer and each protocol of
	// a Kubernetes rule. The largest generated allow lists have some 10,000. Each is at least one
	// class of addresses, one row and one element in the kernel.
	MaxRules = 20_000
	// MaxNets is how many nets the rules of a policy may list, those of `except` and `notNets`
	// included. Whoever has more has a feed, and keeps it in a set.
	MaxNets = 100_000
	// MaxPorts is how many ports and ranges the rules of a policy may list: every port by
	// itself, of all three protocols, fits.
	MaxPorts = 200_000
	// MaxRegions is how many regions the ports of all rules may make at one peer: every second
	// port by itself, of all three protocols, fits. A region takes 16 bytes in each row that has it, and about a
	// hundred in the kernel.
	MaxRegions = 250_000
	// MaxDifferences is in how many ports the nets of a policy may differ from the rest of the
	// world. Each is an element in the kernel, or a part of one.
	MaxDifferences = 500_000
	// MaxRowRegions is how many regions the rows of all nets that rules tell apart may have.
	// They are not in the kernel, but the agent computes them one by one: 3 million take
	// about 3 seconds, and 150 MB where no two rows are equal. 1,500 rules for everybody but one
	// address each have 2.3 million.
	MaxRowRegions = 3_000_000
	// MaxHTTP is how many methods and paths the rules of a policy may list: a request is compared
	// with each.
	MaxHTTP = 20_000

	// MaxSetNets is how many nets a set may have: the largest threat feeds have some
	// 200,000. An element takes about 100 bytes in the agent and as much in the kernel.
	MaxSetNets = 500_000
	// MaxSetDomains is how many domains a set, or the rules of a policy, may have.
	MaxSetDomains = 50_000
)
