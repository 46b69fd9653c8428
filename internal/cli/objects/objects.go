// Package objects is `tierwall get`, `apply` and `delete`: the objects that etcd holds.
package objects

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd"
	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// etcdFlags are the flags of the commands that read and write objects of etcd
// one by one. Other stores have tools of their own for that.
type etcdFlags struct {
	input input.Flags // of which the store and the namespaces
}

func (f *etcdFlags) register(cmd *cobra.Command) {
	f.input.RegisterStore(cmd)
	cmd.Flags().StringVarP(&f.input.Namespace, "namespace", "n", "", "namespace of objects that name none (default: default)")
	_ = cmd.RegisterFlagCompletionFunc("namespace", f.input.CompleteNamespace)
}

// open opens the store, or says which tool is the right one.
func (f *etcdFlags) open(cmd *cobra.Command) (*etcd.Store, error) {
	instead := func(what, tool string) error {
		return command.UsageError(cmd, fmt.Errorf("tierwall %s is for etcd: %s", cmd.Name(), fmt.Sprintf(what, tool)))
	}
	spec := f.input.Store.Store
	if spec == "" && command.IsKubectlPlugin(cmd) {
		spec = open.KindKube
	}
	switch {
	case spec == "":
		return nil, command.UsageError(cmd, errors.New("no store: expected --store etcd:https://HOST:2379"))
	case spec == open.KindKube:
		return nil, instead("a cluster has `%s` for it", "kubectl "+cmd.Name())
	case strings.HasPrefix(spec, open.KindFiles+":"):
		return nil, instead("files are %s", "edited in their directory, which agents follow")
	}
	if f.input.Namespace != "" && !translate.IsNamespaceName(f.input.Namespace) {
		return nil, command.UsageError(cmd, fmt.Errorf("-n %s: is no name of a namespace", f.input.Namespace))
	}
	if !strings.HasPrefix(spec, open.KindEtcd+":") {
		_, err := f.input.Store.Source() // says what is wrong
		return nil, command.UsageError(cmd, err)
	}
	if err := f.input.CheckConnection(cmd, open.KindEtcd); err != nil {
		return nil, command.UsageError(cmd, err)
	}
	s, err := open.Etcd(spec, f.input.Store)
	if err != nil {
		return nil, command.UsageError(cmd, err)
	}
	return s, nil
}

// orDefault returns the namespace of objects that name none.
func (f *etcdFlags) orDefault() string {
	if f.input.Namespace == "" {
		return "default"
	}
	return f.input.Namespace
}

// newErrors returns the errors that a change brings about: those that were not
// there before, of the objects that it touches or any other.
func newErrors(before, after []store.Finding, touched map[policy.Key]bool) []store.Finding {
	// Where an object is read, and at which line, is no difference.
	withoutPosition := func(f store.Finding) store.Finding {
		f.File, f.Line = "", 0
		return f
	}
	known := map[store.Finding]bool{}
	for _, f := range before {
		known[withoutPosition(f)] = true
	}
	return slices.DeleteFunc(slices.Clone(after), func(f store.Finding) bool {
		return f.Note || known[withoutPosition(f)] && !touched[f.Key]
	})
}
