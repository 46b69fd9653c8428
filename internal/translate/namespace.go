package translate

import (
	"slices"

	"github.com/tierwall/tierwall/selector"
)

// Kinds of objects that act through others.
const (
	kindNamespace      = "Namespace"
	kindServiceAccount = "ServiceAccount"
)

// namespace is what is known of a namespace that has an object or is referred to.
type namespace struct {
	id     uint32
	name   string
	object bool            // the source has it, in a valid version
	labels selector.Labels // what it adds to the labels of what is in it

	// accounts is what the service accounts add that have an object with labels.
	accounts map[string]selector.Labels
	sets     map[*object]struct{} // the network sets in it

	endpoints int // how many records of pods and WorkloadEndpoints are in it
}

// namespace returns a namespace, making it if it is not known.
func (t *Translator) namespace(name string) *namespace {
	n := t.namespaces[name]
	if n == nil {
		n = &namespace{name: name, labels: namespaceLabels(name, nil)}
		n.id = t.endpoints.addNamespace(n)
		t.namespaces[name] = n
	}
	return n
}

// sweep forgets a namespace that nothing refers to.
func (t *Translator) sweep(n *namespace) {
	if !n.object && len(n.accounts)+len(n.sets)+n.endpoints == 0 {
		delete(t.namespaces, n.name)
		delete(t.step.namespaces, n)
		t.endpoints.dropNamespace(n)
	}
}

// setNamespace brings a namespace's labels to what its object now means.
func (t *Translator) setNamespace(o *object) {
	n := t.namespace(o.key.Name)
	labels, ok := o.means.(selector.Labels)
	if n.object = ok; !ok {
		labels = namespaceLabels(n.name, nil)
	}
	if !slices.Equal(labels, n.labels) {
		n.labels = labels
		t.step.namespaces[n] = struct{}{}
		for set := range n.sets {
			t.step.dirty[set] = struct{}{}
		}
	}
	if ok {
		o.means = elsewhere{}
	}
	t.sweep(n)
}

// setAccount brings what a service account adds to what its object now means.
func (t *Translator) setAccount(o *object) {
	n := t.namespace(o.key.Namespace)
	was := n.accountLabels(o.key.Name)
	labels, ok := o.means.(selector.Labels)
	if ok && len(labels) > impliedAccountLabels {
		if n.accounts == nil {
			n.accounts = map[string]selector.Labels{}
		}
		n.accounts[o.key.Name] = labels
	} else {
		delete(n.accounts, o.key.Name)
	}
	if !slices.Equal(was, n.accountLabels(o.key.Name)) {
		t.step.accounts[accountKey{n, o.key.Name}] = struct{}{}
	}
	if ok {
		o.means = elsewhere{}
	}
	t.sweep(n)
}

// accountLabels returns what the object of a service account adds, beside what one
// without labels adds as well: nil.
func (n *namespace) accountLabels(name string) selector.Labels { return n.accounts[name] }

// accountKey names a service account.
type accountKey struct {
	namespace *namespace
	name      string
}

// joinNamespace and leaveNamespace note that a network set depends on its namespace.
func (t *Translator) joinNamespace(o *object) {
	if o.key.Namespace == "" {
		return
	}
	n := t.namespace(o.key.Namespace)
	if n.sets == nil {
		n.sets = map[*object]struct{}{}
	}
	n.sets[o] = struct{}{}
}

func (t *Translator) leaveNamespace(o *object) {
	if n := t.namespaces[o.key.Namespace]; n != nil {
		delete(n.sets, o)
		t.sweep(n)
	}
}

// accountLabels returns what a service account adds to the labels of its pods.
func (t *Translator) accountLabels(n *namespace, name string) selector.Labels {
	if labels := n.accountLabels(name); labels != nil {
		return labels
	}
	labels, found := t.impliedAccounts[name]
	if !found {
		// Names that came and went are not kept for ever.
		if len(t.impliedAccounts) > 1000 {
			clear(t.impliedAccounts)
		}
		labels = accountLabels(name, nil)
		t.impliedAccounts[name] = labels
	}
	return labels
}
