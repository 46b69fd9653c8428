package translate

import (
	"slices"

	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Kinds of objects that act through others.
const (
	kindNamespace      = "Namespace"
	kindServiceAccount = "ServiceAccount"
)

// namespaceTable holds the namespaces that there are: those that have an object, and those
// that something is in, valid or not; and what the service accounts in them add to the labels
// of their pods. What changes in one, and that one comes or goes, is noted in the step.
type namespaceTable struct {
	step    *step
	byName  map[string]*namespace
	numbers []*namespace               // by number; 0 is none
	free    []uint32                   // numbers that are none's
	implied map[string]selector.Labels // of service accounts that are only referred to
}

// namespace is what is known of one.
type namespace struct {
	id     uint32
	name   string
	object bool            // the source has it, in a valid version
	labels selector.Labels // what it adds to the labels of what is in it

	profiles []string // that of its pods
	// accounts is what the service accounts add that have an object with labels.
	accounts map[string]selector.Labels
	sets     map[*object]struct{} // the network sets in it

	endpoints int // how many records of pods and WorkloadEndpoints are in it
	wrong     int // of how many of these, records or none, something is wrong
	objects   int // how many other objects are in it
}

// accountKey names a service account.
type accountKey struct {
	namespace *namespace
	name      string
}

func newNamespaceTable(s *step) *namespaceTable {
	return &namespaceTable{step: s, byName: map[string]*namespace{}, numbers: []*namespace{nil}, implied: map[string]selector.Labels{}}
}

// get returns a namespace, making it if it is not known.
func (t *namespaceTable) get(name string) *namespace {
	n := t.byName[name]
	if n == nil {
		n = &namespace{name: name, labels: source.NamespaceLabels(name, nil), profiles: []string{policy.NamespaceProfile(name)}}
		n.id = t.number(n)
		t.byName[name] = n
		t.step.cameOrWent[name] = struct{}{}
	}
	return n
}

// exists reports whether there is a namespace of the name.
func (t *namespaceTable) exists(name string) bool { return t.byName[name] != nil }

// count changes how much there is in a namespace: one of its counters, by d.
func (t *namespaceTable) count(name string, counter func(*namespace) *int, d int) {
	n := t.get(name)
	*counter(n) += d
	t.dropIfUnused(n)
}

func objectsIn(n *namespace) *int { return &n.objects }
func wrongIn(n *namespace) *int   { return &n.wrong }

// number gives a namespace a number.
func (t *namespaceTable) number(n *namespace) uint32 {
	if k := len(t.free); k > 0 {
		id := t.free[k-1]
		t.free = t.free[:k-1]
		t.numbers[id] = n
		return id
	}
	t.numbers = append(t.numbers, n)
	return uint32(len(t.numbers) - 1)
}

// at returns the namespace of a number.
func (t *namespaceTable) at(id uint32) *namespace { return t.numbers[id] }

// dropIfUnused forgets a namespace that nothing is in.
func (t *namespaceTable) dropIfUnused(n *namespace) {
	if !n.object && len(n.accounts)+len(n.sets)+n.endpoints+n.wrong+n.objects == 0 {
		delete(t.byName, n.name)
		delete(t.step.namespaces, n)
		t.step.cameOrWent[n.name] = struct{}{}
		t.numbers[n.id] = nil
		t.free = append(t.free, n.id)
	}
}

// set brings a namespace's labels to those that its object adds; nil: there is no object.
func (t *namespaceTable) set(name string, labels selector.Labels) {
	n := t.get(name)
	if n.object = labels != nil; !n.object {
		labels = source.NamespaceLabels(name, nil)
	}
	if !slices.Equal(labels, n.labels) {
		n.labels = labels
		t.step.namespaces[n] = struct{}{}
		for set := range n.sets {
			t.step.dirty[set] = struct{}{}
		}
	}
	t.dropIfUnused(n)
}

// setAccount brings what a service account adds to that of its object; nil: there is none.
func (t *namespaceTable) setAccount(namespace, name string, labels selector.Labels) {
	n := t.get(namespace)
	was := n.accounts[name]
	// What one without labels adds is implied.
	if len(labels) > source.ImpliedAccountLabels {
		if n.accounts == nil {
			n.accounts = map[string]selector.Labels{}
		}
		n.accounts[name] = labels
	} else {
		delete(n.accounts, name)
	}
	if !slices.Equal(was, n.accounts[name]) {
		t.step.accounts[accountKey{n, name}] = struct{}{}
	}
	t.dropIfUnused(n)
}

// addSet and removeSet note that a network set depends on its namespace.
func (t *namespaceTable) addSet(o *object) {
	if o.key.Namespace == "" {
		return
	}
	n := t.get(o.key.Namespace)
	if n.sets == nil {
		n.sets = map[*object]struct{}{}
	}
	n.sets[o] = struct{}{}
}

func (t *namespaceTable) removeSet(o *object) {
	if n := t.byName[o.key.Namespace]; n != nil {
		delete(n.sets, o)
		t.dropIfUnused(n)
	}
}

// accountLabels returns what a service account adds to the labels of its pods.
func (t *namespaceTable) accountLabels(n *namespace, name string) selector.Labels {
	if labels := n.accounts[name]; labels != nil {
		return labels
	}
	labels, found := t.implied[name]
	if !found {
		// Names that came and went are not kept for ever.
		if len(t.implied) > 1000 {
			clear(t.implied)
		}
		labels = source.AccountLabels(name, nil)
		t.implied[name] = labels
	}
	return labels
}

// labelsOf joins the labels of an endpoint: its own, and what its namespace and
// service account add.
func (t *namespaceTable) labelsOf(n *namespace, account, orchestrator string, own selector.Labels) selector.Labels {
	var role, added selector.Labels
	if orchestrator != "" {
		role = selector.Labels{{Key: source.LabelOrchestrator, Value: orchestrator}}
	}
	if account != "" {
		added = t.accountLabels(n, account)
	}
	return source.JoinLabels(own, n.labels, role, added)
}
