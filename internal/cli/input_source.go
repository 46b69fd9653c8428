package cli

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

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/store/open"
	"github.com/tierwall/tierwall/internal/translate"
)

// errNoInput is the error of a command that was told of no manifests.
var errNoInput = errors.New("nothing to read: name a file or directory with -f, or a store with --store kube or --store etcd:https://HOST:2379")

// list reads what the flags name. Of the input it fills in where that was.
func (f *inputFlags) list(cmd *cobra.Command) (*input, store.Listing, error) {
	if err := f.settle(cmd); err != nil {
		return nil, store.Listing{}, usageError(cmd, err)
	}
	if len(f.paths) > 0 {
		namespace := f.namespace
		if namespace == "" {
			namespace = "default"
		}
		// Reading may wait for a pipe for ever: let a signal end the program.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		read := files.LoadAll(f.paths, files.Options{Namespace: namespace, Stdin: cmd.InOrStdin()})
		return &input{from: theFiles}, read.Listing(), nil
	}
	in := &input{from: theStore, scope: f.namespace}
	if f.store.Kind() == open.KindKube {
		in.from = theCluster
		if f.namespace == "" && !f.allNamespaces {
			namespace, err := f.store.Namespace()
			if err != nil {
				return nil, store.Listing{}, err
			}
			in.scope = namespace
		}
		if f.aPart {
			f.store.KubeOptions.Namespace = in.scope
		}
		if f.partly && f.namespace != "" {
			f.store.KubeOptions.Fallback, f.store.KubeOptions.Narrowed = f.namespace, in.narrowing()
		}
	}
	listing, err := readStore(cmd.Context(), f.store)
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

// settle finds out what is to be read, and refuses flags that do not go together.
func (f *inputFlags) settle(cmd *cobra.Command) error {
	if f.namespace != "" && !translate.IsNamespaceName(f.namespace) {
		return fmt.Errorf("-n %s: is no name of a namespace: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63", f.namespace)
	}
	if len(f.paths) > 0 && f.store.Store != "" {
		return fmt.Errorf("-f reads files, --store %s a store: give one of them", f.store.Kind())
	}
	if len(f.paths) == 0 && f.store.Store == "" {
		if !isKubectlPlugin(cmd) {
			return errors.Join(f.strayConnection(cmd, ""), errNoInput)
		}
		f.store.Store = open.KindKube // as every command of kubectl does
	}
	if dir, isDir := strings.CutPrefix(f.store.Store, open.KindFiles+":"); isDir {
		if _, err := f.store.Source(); err != nil {
			return err
		}
		f.paths, f.store.Store = []string{dir}, ""
	}
	if err := f.strayConnection(cmd, f.store.Kind()); err != nil {
		return err
	}
	switch {
	case len(f.paths) > 0 && f.allNamespaces:
		return errors.New("-A is for clusters and etcd: files are always read whole")
	case f.allNamespaces:
		f.namespace = "" // as kubectl does
	}
	return nil
}

// strayConnection refuses flags of a connection that is not made: the user meant
// something else to be read.
func (f *inputFlags) strayConnection(cmd *cobra.Command, kind string) error {
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
