package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// target is what a region does.
func target(g dataplane.Region) codec.Verdict {
	if g.Decider == 0 {
		if g.Allow {
			return returns
		}
		return drop
	}
	return goTo(deciderName(g.Decider, g.Allow))
}

// deciderChain logs for the rules that say so, counts for a decider, and acts.
func (l Logging) deciderChain(d dataplane.Decider, allow bool) codec.ChainRules {
	r := when([]codec.Expr{{Kind: codec.Counter}}, drop)
	if allow {
		r = when([]codec.Expr{{Kind: codec.Counter}}, returns)
	}
	text := d.Direction.String() + " " + dataplane.DeciderText(d.By)
	for _, by := range d.Logs.All() { // another decider's counter than without them
		text += ", logged by " + dataplane.DeciderText(by)
	}
	r.Comment = codec.Clip(text)
	return codec.ChainRules{Name: deciderName(d.ID, allow), Order: orderDecider, Rules: append(l.logRules(d, allow), r)}
}
