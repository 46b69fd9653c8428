package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// inputFlags are the flags of every command that reads manifests.
type inputFlags struct {
	paths         []string
	store         *open.Flags
	namespace     string
	allNamespaces bool
	keepGoing     bool
	cilium        ciliumFlags
	// What follows is no flag, but set by commands.

	// standInIPv6 gives endpoints without addresses an IPv6 stand-in too.
	standInIPv6 bool
	// aPart says that the command looks at each object by itself, so that one
	// namespace of a cluster will do. A connection has peers in all of them.
	aPart bool
	// partly says that the command can do with one namespace of a cluster, that of -n,
	// where the user may read no other, and tells what it does not know then.
	partly bool
	// names is what is known of names of DNS; nil: nothing.
	names *resolveFlag
}

// register adds the flags to a command.
func (f *inputFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.paths, "file", "f", nil,
		"file, directory (read recursively) or - for standard input; may be repeated")
	f.registerStore(cmd)
	flags.StringVarP(&f.namespace, "namespace", "n", "",
		"with -f the namespace of objects that name none; with --store the one to look at (default: default; in a cluster, as kubectl has it)")
	flags.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "with --store, look at all namespaces")
	flags.BoolVar(&f.keepGoing, "keep-going", false,
		"go on without the objects that are invalid")
	f.cilium.register(cmd)
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
	_ = cmd.RegisterFlagCompletionFunc("namespace", f.completeNamespace)
}

// registerStore adds --store and the flags of the connections.
func (f *inputFlags) registerStore(cmd *cobra.Command) {
	f.store = open.NewFlags()
	f.store.UserAgent = "tierwall/" + readBuildInfo().Version
	f.store.Register(cmd.Flags())
	completeConnection(cmd, f.store)
}

// input is what the manifests hold.
type input struct {
	Model      *policy.Model
	from       whence
	scope      string // the namespace to look at; empty for all
	staged     []translate.Staged
	ungoverned []translate.Ungoverned // pods and workloads that are no endpoints
	resources  []store.Resource       // all that could be read, in order
	rejected   []store.Rejected       // objects beside those
	translated []store.Resource       // with what Cilium's policies among the resources were converted to
	findings   []store.Finding        // errors and notes, sorted by place
	names      *resolveFlag           // what is known of names of DNS; nil: nothing
	narrowed   []string               // kinds that were read in the namespace to look at only, since the user may read no more
}

// whence says where manifests were read, for sentences about it.
type whence string

const (
	theFiles   whence = "the files hold"
	theCluster whence = "the cluster holds"
	theStore   whence = "the store holds"
)

// place says where an object is written: "file:line", or in a store its version;
// "" if neither is known.
func (in *input) place(key policy.Key) string {
	for _, list := range [][]store.Resource{in.resources, in.translated} {
		for i := range list {
			if r := &list[i]; r.Key == key {
				return placeOf(r)
			}
		}
	}
	for i := range in.rejected {
		if r := &in.rejected[i]; r.Key == key {
			return placeOf(&r.Resource)
		}
	}
	return ""
}

func placeOf(r *store.Resource) string {
	if r.Origin != nil {
		if file, line := r.Origin.Place(""); file != "" {
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

// objectVersion is which version of an object a store holds.
type objectVersion struct {
	Generation      int64  `json:"generation,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

func versionOf(r *store.Resource) objectVersion {
	meta, ok := r.Object.(metav1.Object)
	if !ok {
		return objectVersion{}
	}
	return objectVersion{meta.GetGeneration(), meta.GetResourceVersion()}
}

// errorCount is the number of findings that are no notes.
func (in *input) errorCount() int { return countErrors(in.findings) }

func countErrors(findings []store.Finding) int {
	n := 0
	for _, f := range findings {
		if !f.Note {
			n++
		}
	}
	return n
}

// read loads and translates the manifests, whatever is wrong with them. It fails
// where the flags themselves are unusable, and where a store cannot be read.
func (f *inputFlags) read(cmd *cobra.Command) (*input, error) {
	in, listing, err := f.list(cmd)
	if err != nil {
		return nil, err
	}
	converted := f.cilium.convert(listing.Resources)
	in.translated = converted.all
	loaded := translate.Load(in.translated, listing.Rejected, f.translation())
	in.Model, in.staged, in.ungoverned = loaded.Model, loaded.Staged, loaded.Ungoverned
	if in.names = f.names; in.names != nil {
		in.names.learn(in.Model)
	}
	in.resources, in.rejected = listing.Resources, listing.Rejected
	in.findings = slices.Concat(listing.Findings, converted.findings, loaded.Findings)
	slices.SortStableFunc(in.findings, store.Finding.Compare)
	return in, nil
}

// translation says how manifests are translated.
func (f *inputFlags) translation() translate.Options {
	return translate.Options{Offline: true, StandInIPv6: f.standInIPv6}
}

// load returns the model that the manifests describe. An invalid object is an
// error that names it, as is anything unreadable; with --keep-going it is left
// out instead, and standard error says so.
func (f *inputFlags) load(cmd *cobra.Command) (*input, error) {
	in, err := f.read(cmd)
	if err != nil {
		return nil, exitWith(exitFailed, err)
	}
	if in.errorCount() == 0 {
		return in, nil
	}
	if !f.keepGoing {
		return nil, exitWith(exitFailed, invalidInput(in.findings, "nothing was decided; --keep-going leaves invalid objects out"))
	}
	if err := warnInvalid(cmd.ErrOrStderr(), in); err != nil {
		return nil, exitWith(exitFailed, err)
	}
	return in, nil
}

// maxShownErrors keeps an error readable; validate lists them all.
const maxShownErrors = 10

// invalidInput names the findings that stop a command, and says what that means.
func invalidInput(findings []store.Finding, so string) error {
	var list []error
	for _, f := range findings {
		if !f.Note && len(list) < maxShownErrors {
			list = append(list, f)
		}
	}
	if more := countErrors(findings) - len(list); more > 0 {
		list = append(list, fmt.Errorf("and %d more: see tierwall validate", more))
	}
	return errors.Join(append(list, errors.New(so))...)
}

func warnInvalid(w io.Writer, in *input) error {
	for _, f := range in.findings {
		if f.Note {
			continue
		}
		if _, err := fmt.Fprintf(w, "left out: %s\n", in.findingText(f)); err != nil {
			return err
		}
	}
	return nil
}
