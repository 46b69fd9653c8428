package policy

// Counts reports whether the nets of a set that the selector matches belong to
// the denotation.
func (e *Entities) Counts(s *Set) bool {
	return !e.EndpointsOnly && s.Private == e.Private && (e.Learned || !s.Learned)
}
