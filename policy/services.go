package policy

// Counts reports whether the nets of a set that the selector matches belong to
// the denotation.
func (e *PeerSet) Counts(s *Set) bool {
	return !e.EndpointsOnly && s.Internal == e.Internal && (e.DNSLearned || !s.DNSLearned)
}
