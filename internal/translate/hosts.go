package translate

import (
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// hostIndex holds the host endpoints by node: of several for one interface the first
// is in force.
type hostIndex struct {
	step   *step
	byNode objectsBy
}

func newHostIndex(s *step) hostIndex { return hostIndex{step: s, byNode: objectsBy{}} }

// move notes on which node a host endpoint is, and has those looked at again
// that depend on what changed.
func (t *hostIndex) move(o *object, was, now any) {
	touch := func(node string) {
		for other := range t.byNode[node] {
			t.step.dirty[other] = struct{}{}
		}
	}
	if h, ok := was.(*source.HostEndpoint); ok {
		t.byNode.remove(h.Node, o)
		touch(h.Node)
	}
	if h, ok := now.(*source.HostEndpoint); ok {
		t.byNode.add(h.Node, o)
		touch(h.Node)
	}
}

// findings returns that another host endpoint has the interface of this one, if so.
func (t *hostIndex) findings(o *object, h *source.HostEndpoint) []store.Finding {
	if h.Interface == "" {
		return nil
	}
	for other := range t.byNode[h.Node] {
		m, ok := other.parsed.(*source.HostEndpoint)
		if ok && m.Interface == h.Interface && policy.CompareHosts(m.Endpoint, h.Endpoint) < 0 {
			r := store.Resource{Key: o.key, Origin: o.origin}
			return []store.Finding{r.At("spec.interfaceName",
				"HostEndpoint %s is for interface %q of node %s already, so this one is not enforced: of several the first by name is; remove one",
				m.Key.Name, h.Interface, h.Node)}
		}
	}
	return nil
}
