package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd"
	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// etcdFlags are the flags of the commands that read and write objects of etcd
// one by one. Other stores have tools of their own for that.
type etcdFlags struct {
	input inputFlags // of which the store and the namespaces
}

func (f *etcdFlags) register(cmd *cobra.Command) {
	f.input.registerStore(cmd)
	cmd.Flags().StringVarP(&f.input.namespace, "namespace", "n", "", "namespace of objects that name none (default: default)")
	_ = cmd.RegisterFlagCompletionFunc("namespace", f.input.completeNamespace)
}

// open opens the store, or says which tool is the right one.
func (f *etcdFlags) open(cmd *cobra.Command) (*etcd.Store, error) {
	instead := func(what, tool string) error {
		return usageError(cmd, fmt.Errorf("tierwall %s is for etcd: %s", cmd.Name(), fmt.Sprintf(what, tool)))
	}
	spec := f.input.store.Store
	if spec == "" && isKubectlPlugin(cmd) {
		spec = open.KindKube
	}
	switch {
	case spec == "":
		return nil, usageError(cmd, errors.New("no store: expected --store etcd:https://HOST:2379"))
	case spec == open.KindKube:
		return nil, instead("a cluster has `%s` for it", "kubectl "+cmd.Name())
	case strings.HasPrefix(spec, open.KindFiles+":"):
		return nil, instead("files are %s", "edited in their directory, which agents follow")
	}
	if f.input.namespace != "" && !translate.IsNamespaceName(f.input.namespace) {
		return nil, usageError(cmd, fmt.Errorf("-n %s: is no name of a namespace", f.input.namespace))
	}
	if !strings.HasPrefix(spec, open.KindEtcd+":") {
		_, err := f.input.store.Source() // says what is wrong
		return nil, usageError(cmd, err)
	}
	if err := f.input.strayConnection(cmd, open.KindEtcd); err != nil {
		return nil, usageError(cmd, err)
	}
	s, err := open.Etcd(spec, f.input.store)
	if err != nil {
		return nil, usageError(cmd, err)
	}
	return s, nil
}

// orDefault returns the namespace of objects that name none.
func (f *etcdFlags) orDefault() string {
	if f.input.namespace == "" {
		return "default"
	}
	return f.input.namespace
}

// judge returns what is wrong with a state of the store.
func judge(resources []store.Resource, rejected []store.Rejected) []store.Finding {
	return translate.Load(resources, rejected, translate.Options{Offline: true}).Findings
}

// newErrors returns the errors that a change brings about: those that were not
// there before, of the objects that it touches or any other.
func newErrors(before, after []store.Finding, touched map[policy.Key]bool) []store.Finding {
	// Where an object is read, and at which line, is no difference.
	bare := func(f store.Finding) store.Finding {
		f.File, f.Line = "", 0
		return f
	}
	known := map[store.Finding]bool{}
	for _, f := range before {
		known[bare(f)] = true
	}
	return slices.DeleteFunc(slices.Clone(after), func(f store.Finding) bool {
		return f.Note || known[bare(f)] && !touched[f.Key]
	})
}

// maxAttempts is how often a write is tried when others write the same objects.
const maxAttempts = 4

// whileConflicts does what reads, decides and writes, again if somebody else has
// written in between.
func whileConflicts(do func() error) error {
	for attempt := 1; ; attempt++ {
		err := do()
		if _, conflict := errors.AsType[*etcd.ConflictError](err); !conflict || attempt == maxAttempts {
			return err
		}
	}
}
