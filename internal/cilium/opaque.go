package cilium

// Opaque is what is only known to be there: nothing of it can be expressed, so
// nothing of it is read.
type Opaque struct{}

// UnmarshalJSON accepts anything.
func (*Opaque) UnmarshalJSON([]byte) error { return nil }

// MarshalJSON writes an empty object.
func (Opaque) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }
