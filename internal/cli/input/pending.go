package input

import "github.com/tierwall/tierwall/internal/translate"

// Pending returns the input as it would be if its staged policies were in force.
func (f *Flags) Pending(in *Input) *Input {
	loaded := &translate.Loaded{Model: in.Model, Staged: in.staged}
	m, resources := translate.LoadPending(in.Translated, loaded, f.offline().Translation())
	if f.Learn != nil {
		f.Learn(m, resources)
	}
	return &Input{Model: m, Source: in.Source, Namespace: in.Namespace, EndsIn: in.EndsIn, Unmanaged: in.Unmanaged, Resources: resources, Rejected: in.Rejected}
}

// StagedPolicies returns the staged policies that change something.
func (in *Input) StagedPolicies() []translate.Staged {
	var out []translate.Staged
	for _, s := range in.staged {
		if s.Acts() {
			out = append(out, s)
		}
	}
	return out
}
