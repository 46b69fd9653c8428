// Package input reads what commands decide on: manifests from files, from a cluster or from
// etcd, as the flags that all of these commands have say.
package input

import (
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/version"
	"github.com/tierwall/tierwall/internal/offline"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// Flags are the flags of every command that reads manifests.
type Flags struct {
	Paths         []string
	Store         *open.Flags
	Namespace     string
	AllNamespaces bool
	KeepGoing     bool
	Cilium        CiliumFlags
	args          int // of Paths, how many stood without -f
	// What follows is no flag, but set by commands.

	// PlaceholderIPv6 gives endpoints without addresses an IPv6 placeholder too.
	PlaceholderIPv6 bool
	// OneNamespace says that the command looks at each object by itself, so that one
	// namespace of a cluster will do. A connection has peers in all of them.
	OneNamespace bool
	// NarrowIfForbidden says that the command can do with one namespace of a cluster, that of -n,
	// where the user may read no other, and tells what it does not know then.
	NarrowIfForbidden bool
	// NodeReports has what agents report of their nodes among the resources.
	NodeReports bool
	// Learn adds to a model, made of resources, what is known beside: names of DNS, addresses of nodes; nil: nothing.
	Learn func(*policy.Model, []store.Resource)
}

// Register adds the flags to a command.
func (f *Flags) Register(cmd *cobra.Command) {
	flags.Files(cmd, &f.Paths)
	f.RegisterStore(cmd)
	cmd.Flags().StringVarP(&f.Namespace, "namespace", "n", "",
		"with -f the namespace of objects that name none; with --store the one to look at (default: default; in a cluster, as kubectl has it)")
	cmd.Flags().BoolVarP(&f.AllNamespaces, "all-namespaces", "A", false, "with --store, look at all namespaces")
	cmd.Flags().BoolVar(&f.KeepGoing, "keep-going", false,
		"go on without the objects that are invalid")
	f.Cilium.register(cmd)
	_ = cmd.RegisterFlagCompletionFunc("namespace", f.CompleteNamespace)
}

// RegisterStore adds --store and the flags of the connections.
func (f *Flags) RegisterStore(cmd *cobra.Command) {
	f.Store = open.NewFlags()
	f.Store.UserAgent = "tierwall/" + version.Get().Version
	f.Store.Register(cmd.Flags())
	CompleteConnection(cmd, f.Store)
}

// Input is what the manifests hold.
type Input struct {
	Model      *policy.Model
	Source     Source
	Namespace  string // the namespace to look at; empty for all
	EndsIn     string // the namespace of ends that name none; empty if they need one
	PassedOver int    // objects and documents that decide nothing here
	staged     []translate.Staged
	Unmanaged  []translate.Unmanaged // pods and workloads that are no endpoints
	Resources  []store.Resource      // all that could be read, in order
	Rejected   []store.Rejected      // objects beside those
	Translated []store.Resource      // with what Cilium's policies among the resources were converted to
	Findings   []store.Finding       // errors and notes, sorted by place
	Unreported error                 // why what agents report of their nodes could not be read
	Narrowed   []string              // kinds that were read in the namespace to look at only, since the user may read no more
}

// Source says where manifests were read, for sentences about it.
type Source string

// What manifests are read from.
const (
	FromFiles   Source = "the files hold"
	FromCluster Source = "the cluster holds"
	FromStore   Source = "the store holds"
)

// Place says where an object is written: "file:line", or in a store its version;
// "" if neither is known.
func (in *Input) Place(key policy.Key) string {
	for _, list := range [][]store.Resource{in.Resources, in.Translated} {
		for i := range list {
			if r := &list[i]; r.Key == key {
				return placeOf(r)
			}
		}
	}
	for i := range in.Rejected {
		if r := &in.Rejected[i]; r.Key == key {
			return placeOf(&r.Resource)
		}
	}
	return ""
}

func placeOf(r *store.Resource) string {
	if r.Origin != nil {
		if file, line := r.Origin.Position(""); file != "" {
			return fmt.Sprintf("%s:%d", file, line)
		}
	}
	v := versionOf(r)
	switch {
	case v.Generation > 0:
		return fmt.Sprintf("generation %d", v.Generation)
	case v.ResourceVersion != "":
		return "version " + v.ResourceVersion
	}
	return ""
}

// ObjectVersion is which version of an object a store holds.
type ObjectVersion struct {
	Generation      int64  `json:"generation,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

func versionOf(r *store.Resource) ObjectVersion {
	meta, ok := r.Object.(metav1.Object)
	if !ok {
		return ObjectVersion{}
	}
	return ObjectVersion{meta.GetGeneration(), meta.GetResourceVersion()}
}

// ErrorCount is the number of findings that are no notes.
func (in *Input) ErrorCount() int { return CountErrors(in.Findings) }

// Read loads and translates the manifests, whatever is wrong with them. It fails
// where the flags themselves are unusable, and where a store cannot be read.
func (f *Flags) Read(cmd *cobra.Command) (*Input, error) {
	in, listing, err := f.List(cmd)
	if err != nil {
		return nil, err
	}
	state := offline.Load(listing, f.offline())
	in.Model, in.staged, in.Unmanaged = state.Model, state.Staged, state.Unmanaged
	in.PassedOver = listing.PassedOver
	if f.Learn != nil {
		f.Learn(in.Model, listing.Resources)
	}
	in.Resources, in.Rejected, in.Translated = listing.Resources, listing.Rejected, state.Resources
	in.Findings = state.Findings
	return in, nil
}

// offline says how manifests are converted and translated.
func (f *Flags) offline() *offline.Options {
	return &offline.Options{PlaceholderIPv6: f.PlaceholderIPv6, Cilium: f.Cilium.Options()}
}

// Load returns the model that the manifests describe. An invalid object is an
// error that names it, as is anything unreadable; with --keep-going it is left
// out instead, and standard error says so.
func (f *Flags) Load(cmd *cobra.Command) (*Input, error) {
	in, err := f.Read(cmd)
	if err != nil {
		return nil, command.ExitWith(command.ExitFailed, err)
	}
	if err := Warn(cmd.ErrOrStderr(), in.Findings); err != nil {
		return nil, command.ExitWith(command.ExitFailed, err)
	}
	if in.ErrorCount() == 0 {
		return in, nil
	}
	if !f.KeepGoing {
		return nil, command.ExitWith(command.ExitFailed, InvalidError(in.Findings, "nothing was decided; --keep-going leaves invalid objects out"))
	}
	if err := WarnInvalid(cmd.ErrOrStderr(), in); err != nil {
		return nil, command.ExitWith(command.ExitFailed, err)
	}
	return in, nil
}
