package objects

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/kinds"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// deleteOptions are the flags of delete.
type deleteOptions struct {
	etcdFlags
	paths          []string
	ignoreNotFound bool
	dryRun         bool
	output         string
}

// NewDeleteCommand returns `tierwall delete`.
func NewDeleteCommand() *cobra.Command {
	var o deleteOptions
	cmd := &cobra.Command{
		Use:   "delete {KIND NAME... | KIND/NAME... | -f FILE} --store etcd:https://HOST:2379",
		Short: "Delete objects from etcd, if nothing needs them",
		Long: `Delete objects from etcd: those named, or those that manifests name.

What other objects need, such as the tier of a policy, is not deleted: then nothing is.
Up to 100 objects are deleted in one step, all or none.

For a cluster, use kubectl delete.

Exit code 0: deleted. 1: one of the objects is not there, and nothing was deleted.
2: failed.`,
		Example: `  tierwall delete gnp default.deny-all --store etcd:https://10.0.0.1:2379
  tierwall delete netset/partners -n prod --store etcd:https://10.0.0.1:2379
  tierwall delete -f policies/ --store etcd:https://10.0.0.1:2379 --ignore-not-found`,
		RunE:              o.run,
		ValidArgsFunction: completeKindArg,
	}
	cmd.Flags().StringArrayVarP(&o.paths, "file", "f", nil, "file, directory (read recursively) or - for standard input; may be repeated")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
	o.register(cmd)
	cmd.Flags().BoolVar(&o.ignoreNotFound, "ignore-not-found", false, "what is not there is no error")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be deleted, and delete nothing")
	output.AddFlag(cmd, &o.output, "text", "json", "name")
	return cmd
}

// completeKindArg completes the first argument.
func completeKindArg(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return kinds.Names(), cobra.ShellCompDirectiveNoFileComp
}

// wanted is an object that a user names: one of several kinds, where the word
// for it stands for more than one.
type wanted struct {
	keys []policy.Key
	text string
}

func (o *deleteOptions) run(cmd *cobra.Command, args []string) error {
	if err := output.CheckFlag(cmd, o.output, "text", "json", "name"); err != nil {
		return err
	}
	s, err := o.open(cmd)
	if err != nil {
		return err
	}
	wants, err := o.wants(cmd, args)
	if err != nil {
		return err
	}
	var outcomes []outcome
	err = whileConflicts(func() error {
		outcomes = nil
		snapshot, err := s.Snapshot(cmd.Context())
		if err != nil {
			return err
		}
		keys, err := o.find(wants, &snapshot)
		if err != nil {
			return err
		}
		if err := dispensable(keys, &snapshot); err != nil {
			return err
		}
		var writes []etcd.Write
		for _, k := range keys {
			writes = append(writes, etcd.Write{Key: k, Revision: snapshot.Revisions[k]})
			outcomes = append(outcomes, outcomeOf(k, "deleted", o.dryRun))
		}
		if o.dryRun || len(writes) == 0 {
			return nil
		}
		_, done, err := s.Commit(cmd.Context(), writes)
		return partly(writes, done, err)
	})
	if err != nil {
		return err
	}
	return printOutcomes(cmd, o.output, outcomes)
}

// wants returns what the arguments or the files name.
func (o *deleteOptions) wants(cmd *cobra.Command, args []string) ([]wanted, error) {
	switch {
	case len(o.paths) > 0 && len(args) > 0:
		return nil, command.UsageError(cmd, errors.New("-f and names: give one of them"))
	case len(o.paths) == 0:
		return namedObjects(cmd, args, o.orDefault(), true)
	}
	read := files.LoadAll(o.paths, files.Options{Namespace: o.orDefault(), Stdin: cmd.InOrStdin()})
	if input.CountErrors(read.Findings) > 0 {
		return nil, input.InvalidError(read.Findings, "nothing was deleted")
	}
	var wants []wanted
	for _, r := range read.Resources {
		wants = append(wants, wanted{[]policy.Key{r.Key}, store.ObjectName(r.Key)})
	}
	return wants, nil
}

// namedObjects reads KIND NAME... and KIND/NAME...
func namedObjects(cmd *cobra.Command, args []string, namespace string, needNames bool) ([]wanted, error) {
	if len(args) == 0 {
		return nil, command.UsageError(cmd, errors.New("expected KIND NAME or KIND/NAME"))
	}
	var wants []wanted
	add := func(kindText, name string) error {
		kinds, err := kinds.Parse(kindText)
		if err != nil {
			return command.UsageError(cmd, err)
		}
		w := wanted{text: kindText + " " + name}
		for _, k := range kinds {
			key := policy.Key{Kind: k.Key, Name: name}
			if k.Namespaced {
				key.Namespace = namespace
			}
			w.keys = append(w.keys, key)
		}
		wants = append(wants, w)
		return nil
	}
	kindText, names := args[0], args[1:]
	if strings.Contains(kindText, "/") {
		kindText, names = "", args
	} else if len(names) == 0 && needNames {
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
	return wants, nil
}

// find returns the objects that are wanted, each of which must be there once.
func (o *deleteOptions) find(wants []wanted, snapshot *etcd.Snapshot) ([]policy.Key, error) {
	var keys []policy.Key
	for _, w := range wants {
		found := w.present(snapshot)
		switch {
		case len(found) == 0 && o.ignoreNotFound:
		case len(found) == 0:
			return nil, command.ExitWith(command.ExitNo, fmt.Errorf("%s: there is no such object%s; nothing was deleted", w.text, w.near(snapshot)))
		case len(found) > 1:
			return nil, fmt.Errorf("%s: there are several objects of this name: write %s or %s; nothing was deleted", w.text,
				kinds.FullName(kinds.ByKey(found[0].Kind)), kinds.FullName(kinds.ByKey(found[1].Kind)))
		case !slices.Contains(keys, found[0]):
			keys = append(keys, found[0])
		}
	}
	return keys, nil
}

func (w *wanted) present(snapshot *etcd.Snapshot) []policy.Key {
	var found []policy.Key
	for _, k := range w.keys {
		if snapshot.Revisions[k] > 0 {
			found = append(found, k)
		}
	}
	return found
}

// near offers names of the same kind that are alike, or the same name elsewhere.
func (w *wanted) near(snapshot *etcd.Snapshot) string {
	var names, elsewhere []string
	for _, want := range w.keys {
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
		return " in namespace " + w.keys[0].Namespace + "; there is one in " + suggest.OrList(elsewhere[:min(len(elsewhere), suggest.MaxOffered)]) + " (-n)"
	}
	slices.Sort(names)
	return suggest.Several(w.keys[0].Name, names)
}

// dispensable refuses to delete what other objects need.
func dispensable(keys []policy.Key, snapshot *etcd.Snapshot) error {
	gone := map[policy.Key]bool{}
	for _, k := range keys {
		gone[k] = true
	}
	var resources []store.Resource
	for _, r := range snapshot.Resources {
		if !gone[r.Key] {
			resources = append(resources, r)
		}
	}
	before := input.Check(snapshot.Resources, snapshot.Rejected)
	wrong := newErrors(before, input.Check(resources, snapshot.Rejected), nil)
	if len(wrong) == 0 {
		return nil
	}
	return input.InvalidError(wrong, "without what was to be deleted this would be so; nothing was deleted")
}
