package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/internal/translate"
)

// errNoInput is the error of a command that was told of no manifests.
var errNoInput = errors.New("nothing to read: name a file or directory with -f, or a store with --store kube or --store etcd:https://HOST:2379")

// List reads what the flags name. Of the input it fills in where that was.
func (f *Flags) List(cmd *cobra.Command) (*Input, store.Listing, error) {
	if err := f.Complete(cmd); err != nil {
		return nil, store.Listing{}, command.UsageError(cmd, err)
	}
	if len(f.Paths) > 0 {
		namespace := f.Namespace
		if namespace == "" {
			namespace = "default"
		}
		// Reading may wait for a pipe for ever: let a signal end the program.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		read := readFiles(f.Paths, files.Options{Namespace: namespace, Stdin: cmd.InOrStdin()}, cmd.ErrOrStderr())
		return &Input{Source: FromFiles, EndsIn: f.Namespace}, read.Listing(), nil
	}
	in := &Input{Source: FromStore, Namespace: f.Namespace, EndsIn: f.Namespace}
	if f.Store.Kind() == open.KindKube {
		in.Source = FromCluster
		if f.Namespace == "" && !f.AllNamespaces {
			namespace, err := f.Store.Namespace()
			if err != nil {
				return nil, store.Listing{}, err
			}
			in.Namespace, in.EndsIn = namespace, namespace
		}
		f.Store.KubeOptions.NodeReports, f.Store.KubeOptions.Unreported = f.NodeReports, func(err error) { in.Unreported = err }
		if f.OneNamespace {
			f.Store.KubeOptions.Namespace = in.Namespace
		}
		if f.NarrowIfForbidden && f.Namespace != "" {
			f.Store.KubeOptions.Fallback, f.Store.KubeOptions.Narrowed = f.Namespace, in.narrowing()
		}
	}
	listing, err := readStore(cmd.Context(), f.Store)
	if err != nil {
		return nil, store.Listing{}, err
	}
	return in, listing, nil
}

// readStore lists a store once.
func readStore(ctx context.Context, flags *open.Flags) (store.Listing, error) {
	source, err := flags.Source()
	if err != nil {
		return store.Listing{}, err
	}
	if c, ok := source.(io.Closer); ok {
		defer func() { _ = c.Close() }()
	}
	return source.List(ctx)
}

// Complete finds out what is to be read, and refuses flags that do not go together.
func (f *Flags) Complete(cmd *cobra.Command) error {
	if f.Namespace != "" && !translate.IsNamespaceName(f.Namespace) {
		return fmt.Errorf("-n %s: is no name of a namespace: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63", f.Namespace)
	}
	if len(f.Paths) > 0 && f.Store.Store != "" {
		if f.args > 0 {
			return fmt.Errorf("%q is taken for a file, but --store %s says to read a store: give one of them", f.Paths[len(f.Paths)-1], f.Store.Kind())
		}
		return fmt.Errorf("-f reads files, --store %s a store: give one of them", f.Store.Kind())
	}
	if len(f.Paths) == 0 && f.Store.Store == "" {
		if !command.IsKubectlPlugin(cmd) {
			return errors.Join(f.CheckConnection(cmd, ""), errNoInput)
		}
		f.Store.Store = open.KindKube // as every command of kubectl does
	}
	if dir, isDir := strings.CutPrefix(f.Store.Store, open.KindFiles+":"); isDir {
		if _, err := f.Store.Source(); err != nil {
			return err
		}
		f.Paths, f.Store.Store = []string{dir}, ""
	}
	if err := f.CheckConnection(cmd, f.Store.Kind()); err != nil {
		return err
	}
	switch {
	case len(f.Paths) > 0 && f.AllNamespaces:
		return errors.New("-A is for clusters and etcd: files are always read whole")
	case f.AllNamespaces:
		f.Namespace = "" // as kubectl does
	}
	return nil
}

// CheckConnection refuses flags of a connection that is not made: the user meant
// something else to be read.
func (f *Flags) CheckConnection(cmd *cobra.Command, kind string) error {
	var stray error
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		of := open.ConnectionKind(flag)
		switch {
		case of == "" || of == kind || stray != nil:
		case of == open.KindKube:
			stray = fmt.Errorf("--%s says how to reach a Kubernetes cluster: it goes with --store kube", flag.Name)
		default:
			stray = fmt.Errorf("--%s says how to reach etcd: it goes with --store etcd:https://HOST:2379", flag.Name)
		}
	})
	return stray
}
