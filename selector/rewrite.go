package selector

// Rewrite says what to put in place of the parts of a selector; nil fields keep
// the part.
type Rewrite struct {
	Key    func(string) string
	All    *Selector // in place of all()
	Global *Selector // in place of global()
}

// Rewrite returns the selector with parts of it replaced. It moves, for example, a
// selector of namespaces to the labels that endpoints carry of theirs:
//
//	s.Rewrite(Rewrite{
//		Key:    func(k string) string { return "pcns." + k },
//		All:    Has(NamespaceLabel),
//		Global: Not(Has(NamespaceLabel)),
//	})
//
// What is put in place is not rewritten in turn.
func (s *Selector) Rewrite(r Rewrite) *Selector {
	return newSelector(s.root.rewrite(&r))
}

func (n *node) rewrite(r *Rewrite) node {
	switch n.op {
	case opAll:
		if r.All != nil {
			return r.All.root
		}
		return *n
	case opGlobal:
		if r.Global != nil {
			return r.Global.root
		}
		return *n
	case opNot:
		return negate(n.kids[0].rewrite(r))
	case opAnd, opOr:
		out := parent(n.op, len(n.kids))
		for i := range n.kids {
			out.adopt(n.kids[i].rewrite(r))
		}
		return out
	}
	out := *n
	if r.Key != nil {
		out.key = r.Key(n.key)
	}
	return out
}
