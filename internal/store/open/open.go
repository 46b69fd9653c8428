// Package open knows the flags that say where resources come from, and opens
// the store that they name.
package open

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/kube"
	"github.com/tierwall/tierwall/internal/suggest"
)

// The kinds of stores, as --store begins.
const (
	KindFiles = "files"
	KindKube  = "kube"
	KindEtcd  = "etcd"
)

// Forms is how messages describe what --store may be.
const Forms = "files:DIR, kube or etcd:https://HOST:2379[,https://HOST:2379][/PREFIX]"

// Flags are the flags that name a store and say how to get there. The zero value
// is not usable: see NewFlags.
type Flags struct {
	// Store is --store, as given.
	Store string
	// Kube holds kubectl's flags of the connection, without --namespace: what a
	// namespace is for differs by command.
	Kube *genericclioptions.ConfigFlags
	// KubeOptions say what to read of a cluster.
	KubeOptions kube.Options
	Etcd        EtcdFlags
	// Log gets what happens to the connection; nil means nobody does.
	Log *slog.Logger
	// UserAgent names the program to servers; empty means "tierwall".
	UserAgent string
}

// NewFlags returns flags with their defaults.
func NewFlags() *Flags {
	k := genericclioptions.NewConfigFlags(false)
	k.Namespace = nil // registered by commands
	k.CacheDir = nil  // nothing is discovered
	return &Flags{Kube: k}
}

// Register adds --store and the flags of all stores to a flag set.
func (f *Flags) Register(flags *pflag.FlagSet) {
	flags.StringVar(&f.Store, "store", f.Store, "where resources come from: "+Forms)
	f.RegisterConnection(flags)
}

// ConnectionAnnotation marks the flags that say how to get to a store, with the
// kind of store: there are many, and most users need none of them.
const ConnectionAnnotation = "tierwall.dev/connection"

// RegisterConnection adds the flags of Register but --store, with ConnectionAnnotation.
func (f *Flags) RegisterConnection(flags *pflag.FlagSet) {
	add := func(kind string, register func(*pflag.FlagSet)) {
		own := pflag.NewFlagSet("", pflag.ContinueOnError)
		register(own)
		own.VisitAll(func(flag *pflag.Flag) {
			_ = own.SetAnnotation(flag.Name, ConnectionAnnotation, []string{kind})
		})
		flags.AddFlagSet(own)
	}
	add(KindKube, f.Kube.AddFlags)
	add(KindEtcd, f.Etcd.register)
}

// ConnectionKind returns the kind of store that a flag is about, "" for other flags.
func ConnectionKind(flag *pflag.Flag) string {
	if kinds := flag.Annotations[ConnectionAnnotation]; len(kinds) == 1 {
		return kinds[0]
	}
	return ""
}

// Kind returns the kind of store that --store names, "" if it names none.
func (f *Flags) Kind() string {
	kind, _, _ := strings.Cut(f.Store, ":")
	switch kind {
	case KindFiles, KindKube, KindEtcd:
		return kind
	}
	return ""
}

// Source opens the store that --store names.
func (f *Flags) Source() (store.Source, error) { return Source(f.Store, f) }

// Source opens the store of a specification: files:DIR, kube, or
// etcd:URL[,URL...][/PREFIX]. What cannot work whatever the servers say is an
// error at once; whether they answer shows at the first use. A Source that is an
// io.Closer may be closed when it is no longer needed.
func Source(spec string, f *Flags) (store.Source, error) {
	kind, rest, hasRest := strings.Cut(spec, ":")
	switch {
	case spec == "":
		return nil, errors.New("no store: expected --store " + Forms)
	case kind == KindFiles && rest != "":
		return openFiles(rest)
	case kind == KindFiles:
		return nil, fmt.Errorf("--store %s: the directory is missing: expected files:DIR", spec)
	case kind == KindKube && !hasRest:
		return openKube(f)
	case kind == KindKube:
		return nil, fmt.Errorf("--store %s: expected kube alone; --kubeconfig, --context and --server say which cluster", spec)
	case kind == KindEtcd:
		return openEtcd(rest, f)
	}
	return nil, unknownStore(spec, kind)
}

// unknownStore says what was probably meant.
func unknownStore(spec, kind string) error {
	if strings.HasPrefix(spec, "https://") || strings.HasPrefix(spec, "http://") {
		return fmt.Errorf("--store: a URL needs the kind of store before it; did you mean etcd:URL? (a Kubernetes API server: --store kube --server URL)")
	}
	if _, err := os.Stat(spec); err == nil {
		return fmt.Errorf("--store %s: expected %s; did you mean files:%s?", spec, Forms, spec)
	}
	if strings.Contains(spec, "@") {
		spec = kind + ":..." // it may hold a password
	}
	return fmt.Errorf("--store %s: unknown kind of store %q%s: expected %s", spec, kind,
		suggest.DidYouMean(kind, []string{KindFiles, KindKube, KindEtcd, "kubernetes"}), Forms)
}

// checkDir makes sure that a directory can be read.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("store files:%s: there is no such directory", dir)
	case err != nil:
		return fmt.Errorf("store files:%s: %w", dir, err)
	case !info.IsDir():
		return fmt.Errorf("store files:%s: it is no directory; name the one that holds the manifests", dir)
	}
	if _, err := os.ReadDir(dir); err != nil {
		return fmt.Errorf("store files:%s: %w", dir, err)
	}
	return nil
}
