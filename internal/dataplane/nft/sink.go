package nft

import "github.com/tierwall/tierwall/internal/dataplane/nft/codec"

// sink takes what a whole table consists of: a batch writes it to the kernel,
// the check holds what was read back against it.
type sink interface {
	AddSet(codec.SetSpec)
	AddBaseChain(codec.ChainSpec, []codec.Rule)
	AddChain(codec.ChainRules)
	AddElement(set string, e codec.Element)
}

// content is all that a table holds.
type content interface {
	emit(sink) error
	// emitAddrs returns what emit leaves out since it is compared in another way.
	emitAddrs(sink)
}
