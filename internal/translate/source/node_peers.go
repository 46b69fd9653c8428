package source

import (
	"crypto/sha256"
	"fmt"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// LabelNodes is carried by sets that stand for the nodes which a rule selects; its
// value is the selector. A colon can stand neither in a label's key nor in a selector.
const LabelNodes = "rule:nodes"

// nodesPeerSet returns what a rule selects that means the nodes with some labels, and
// the set that it selects, which goes to Parsed.RuleSets. Its nets are filled in while
// the rule is in force, and follow the nodes: the rule never changes.
func nodesPeerSet(s *selector.Selector, as policy.NodesPeer) (*policy.PeerSet, *policy.Set) {
	name := s.String()
	if most := 120; len(name) > most {
		name = fmt.Sprintf("%s...#%x", name[:most], sha256.Sum256([]byte(name)))
	}
	set := &policy.Set{
		Key:      policy.Key{Kind: policy.KindNodes, Name: name},
		Labels:   selector.NewLabels(map[string]string{LabelNodes: s.String()}),
		Internal: true,
	}
	return &policy.PeerSet{Selector: selector.Equals(LabelNodes, s.String()), Internal: true, AsWritten: as}, set
}
