package policy

import "strings"

// WrittenPeer is how the source of a rule writes a peer that Selector does not read
// like. Two are == if they say the same; a list in one is its elements, joined by ", ".
// A reader gets String.
type WrittenPeer interface {
	String() string
	isWrittenPeer()
}

// PodsPeer is pods by their labels and namespaces, as Kubernetes writes them.
type PodsPeer struct {
	Labels     string // "a=b,c in (d)"; empty: all pods
	Namespace  string // of this one; empty: see Namespaces
	Namespaces string // of those with these labels; empty: of any
}

// String returns "pods with a=b in namespace web".
func (p PodsPeer) String() string {
	text := with("pods", p.Labels)
	switch {
	case p.Namespace != "":
		return text + " in namespace " + p.Namespace
	case p.Namespaces != "":
		return text + " in namespaces with " + p.Namespaces
	}
	return text + " in any namespace"
}

// SelectedPeer is what the selectors of a rule of projectcalico.org/v3 demand together;
// what is empty demands nothing.
type SelectedPeer struct {
	Selector               string
	Namespace              string // the policy's own
	NamespaceSelector      string
	AnyNamespace           bool // the namespace selector is all()
	NoNamespace            bool // the namespace selector is global()
	ServiceAccounts        string
	ServiceAccountSelector string
}

// String returns "a == 'b' in namespaces with team == 'x' in service accounts y, z".
func (p SelectedPeer) String() string {
	var words []string
	add := func(there bool, text string) {
		if there {
			words = append(words, text)
		}
	}
	add(p.Selector != "", p.Selector)
	add(p.Namespace != "", "namespace "+p.Namespace)
	add(p.NamespaceSelector != "", "namespaces with "+p.NamespaceSelector)
	add(p.AnyNamespace, "any namespace")
	add(p.NoNamespace, "no namespace")
	add(p.ServiceAccounts != "", "service accounts "+p.ServiceAccounts)
	add(p.ServiceAccountSelector != "", "service accounts with "+p.ServiceAccountSelector)
	if p.Selector != "" && len(words) > 1 && strings.ContainsAny(p.Selector, "&|") {
		words[0] = "(" + p.Selector + ")"
	}
	return strings.Join(words, " in ")
}

// NodesPeer is nodes by their labels.
type NodesPeer struct {
	Labels string // empty: all nodes
}

// String returns "nodes with a=b".
func (p NodesPeer) String() string { return with("nodes", p.Labels) }

// DomainsPeer is domains, and the nets that may be the destination instead.
type DomainsPeer struct {
	Domains, Nets string
}

// String returns "domains a.example, *.b.example or 192.0.2.0/24".
func (p DomainsPeer) String() string {
	text := "domain " + p.Domains
	if strings.Contains(p.Domains, ",") {
		text = "domains " + p.Domains
	}
	if p.Nets != "" {
		text += " or " + p.Nets
	}
	return text
}

// ServicePeer is the endpoints of a Service.
type ServicePeer struct {
	Namespace, Name string
}

// String returns "service web/frontend".
func (p ServicePeer) String() string { return "service " + p.Namespace + "/" + p.Name }

// Key names the service.
func (p ServicePeer) Key() Key {
	return Key{Kind: KindService, Namespace: p.Namespace, Name: p.Name}
}

// UnusablePeer is a peer that is invalid, or of a kind that is not known: it is nobody.
type UnusablePeer struct{}

// String returns "a peer that cannot be used".
func (UnusablePeer) String() string { return "a peer that cannot be used" }

func (PodsPeer) isWrittenPeer()     {}
func (SelectedPeer) isWrittenPeer() {}
func (NodesPeer) isWrittenPeer()    {}
func (DomainsPeer) isWrittenPeer()  {}
func (ServicePeer) isWrittenPeer()  {}
func (UnusablePeer) isWrittenPeer() {}

// with returns what is meant, and by which labels.
func with(what, labels string) string {
	if labels == "" {
		return what
	}
	return what + " with " + labels
}
