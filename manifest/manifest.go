package manifest

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/offline"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// Options say how manifests are read. The zero value is strict, and right for most.
type Options struct {
	// Namespace is that of objects that name none; empty means "default".
	Namespace string
	// SkipInvalid goes on without invalid objects, and without files that cannot be
	// read. [Manifests.LeftOut] and the findings say which.
	SkipInvalid bool
	// IPv6 gives endpoints without any address an IPv6 one beside the IPv4 one.
	IPv6 bool
	// NodeCIDRs and APIServerCIDRs are for Cilium's policies, which tell nodes and the API
	// server from the outside world: addresses of these beside those that the manifests tell.
	NodeCIDRs, APIServerCIDRs []netip.Prefix
}

// Manifests are what was read.
type Manifests struct {
	// Model is what evaluate.New and analyze.Reach take: every valid object.
	Model *policy.Model
	// Findings are sorted by file and line. Without Options.SkipInvalid they are notes.
	Findings []Finding
}

// Load reads files and directories (recursively: .yaml, .yml, .json; hidden ones are
// passed over), in their order. It reads on past errors, so that an [InvalidError] has all.
// Of several objects of one name the first is valid.
func Load(paths []string, opts Options) (*Manifests, error) {
	if len(paths) == 0 {
		return nil, errors.New("manifest: no files or directories are named")
	}
	return translate(files.LoadAll(paths, files.Options{Namespace: opts.Namespace}), opts)
}

// Parse reads a text as Load reads a file. The name is that of the file in findings, and
// may be empty; nothing is opened.
func Parse(name string, text []byte, opts Options) (*Manifests, error) {
	return translate(files.Parse(name, text, files.Options{Namespace: opts.Namespace}), opts)
}

// translate returns what was read, or the error that it is invalid.
func translate(read files.Loaded, opts Options) (*Manifests, error) {
	state := offline.Load(read.Listing(), &offline.Options{
		PlaceholderIPv6: opts.IPv6,
		Cilium:          cilium.Options{Nodes: opts.NodeCIDRs, APIServer: opts.APIServerCIDRs},
	})
	m := &Manifests{Model: state.Model, Findings: findingsOf(state.Findings)}
	isError := func(f Finding) bool { return f.Severity > Note }
	if !opts.SkipInvalid && slices.ContainsFunc(m.Findings, isError) {
		return nil, &InvalidError{Findings: m.Findings}
	}
	return m, nil
}

// Endpoint returns the endpoint of a key, or, for a workload whose pods are there, the
// first of these by name; nil if there is neither. Its Addrs are what a [policy.Flow]
// from or to it names.
func (m *Manifests) Endpoint(key policy.Key) *policy.Endpoint {
	var pod *policy.Endpoint
	for _, e := range m.Model.Endpoints { // sorted by key
		switch {
		case e.Key == key:
			return e
		case e.Owner == key && pod == nil:
			pod = e
		}
	}
	return pod
}

// LeftOut returns the objects that are not in the model because they are invalid, sorted
// by key. An object that has the name of another one, and is left out for that, is listed
// by that name.
func (m *Manifests) LeftOut() []policy.Key {
	var out []policy.Key
	for _, f := range m.Findings {
		if f.Severity == Invalid && f.Object != (policy.Key{}) {
			out = append(out, f.Object)
		}
	}
	slices.SortFunc(out, policy.Key.Compare)
	return slices.Compact(out)
}
