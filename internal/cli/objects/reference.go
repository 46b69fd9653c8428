package objects

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/kinds"
	"github.com/tierwall/tierwall/internal/store/etcd"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// reference is an object that a user names: one of several kinds, where the word
// for it stands for more than one.
type reference struct {
	keys []policy.Key
	text string
}

// namedObjects reads KIND NAME... and KIND/NAME...
func namedObjects(cmd *cobra.Command, args []string, namespace string) ([]reference, error) {
	if len(args) == 0 {
		return nil, command.UsageError(cmd, errors.New("expected KIND NAME or KIND/NAME"))
	}
	var refs []reference
	add := func(kindText, name string) error {
		kinds, err := kinds.Parse(kindText)
		if err != nil {
			return command.UsageError(cmd, err)
		}
		ref := reference{text: kindText + " " + name}
		for _, k := range kinds {
			key := policy.Key{Kind: k.Key, Name: name}
			if k.Namespaced {
				key.Namespace = namespace
			}
			ref.keys = append(ref.keys, key)
		}
		refs = append(refs, ref)
		return nil
	}
	kindText, names := args[0], args[1:]
	if strings.Contains(kindText, "/") {
		kindText, names = "", args
	} else if len(names) == 0 {
		return nil, command.UsageError(cmd, fmt.Errorf("expected the name of a %s after %q", kindText, kindText))
	}
	for _, name := range names {
		kind := kindText
		if kind == "" {
			var found bool
			if kind, name, found = strings.Cut(name, "/"); !found {
				return nil, command.UsageError(cmd, fmt.Errorf("%q: expected KIND/NAME, as before it", kind))
			}
		}
		if name == "" || strings.Contains(name, "/") {
			return nil, command.UsageError(cmd, fmt.Errorf("%q: is no name of an object", name))
		}
		if err := add(kind, name); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// present returns the objects that are there.
func (ref *reference) present(snapshot *etcd.Snapshot) []policy.Key {
	var found []policy.Key
	for _, k := range ref.keys {
		if snapshot.Revisions[k] > 0 {
			found = append(found, k)
		}
	}
	return found
}

// suggestion offers names of the same kind that are alike, or the same name elsewhere.
func (ref *reference) suggestion(snapshot *etcd.Snapshot) string {
	var names, elsewhere []string
	for _, want := range ref.keys {
		for k := range snapshot.Revisions {
			switch {
			case k.Kind == want.Kind && k.Namespace == want.Namespace:
				names = append(names, k.Name)
			case k.Kind == want.Kind && k.Name == want.Name:
				elsewhere = append(elsewhere, k.Namespace)
			}
		}
	}
	if len(elsewhere) > 0 {
		slices.Sort(elsewhere)
		return " in namespace " + ref.keys[0].Namespace + "; there is one in " + suggest.OrList(elsewhere[:min(len(elsewhere), suggest.MaxOffered)]) + " (-n)"
	}
	slices.Sort(names)
	return suggest.Several(ref.keys[0].Name, names)
}

// completeKindArg completes the first argument.
func completeKindArg(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return kinds.Names(), cobra.ShellCompDirectiveNoFileComp
}
