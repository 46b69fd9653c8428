package objects

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/kinds"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// deleteOptions are the flags of delete.
type deleteOptions struct {
	etcdFlags
	changeFlags
	paths          []string
	ignoreNotFound bool
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
	flags.Files(cmd, &o.paths)
	o.etcdFlags.register(cmd)
	cmd.Flags().BoolVar(&o.ignoreNotFound, "ignore-not-found", false, "what is not there is no error")
	o.changeFlags.register(cmd, "say what would be deleted, and delete nothing")
	return cmd
}

func (o *deleteOptions) run(cmd *cobra.Command, args []string) error {
	if err := o.validate(cmd); err != nil {
		return err
	}
	s, err := o.open(cmd)
	if err != nil {
		return err
	}
	refs, err := o.refs(cmd, args)
	if err != nil {
		return err
	}
	return o.change(cmd, s, func(snapshot *etcd.Snapshot) ([]etcd.Write, []outcome, error) {
		keys, err := o.find(refs, snapshot)
		if err != nil {
			return nil, nil, err
		}
		if err := checkNotNeeded(keys, snapshot); err != nil {
			return nil, nil, err
		}
		var writes []etcd.Write
		var outcomes []outcome
		for _, k := range keys {
			writes = append(writes, etcd.Write{Key: k, Revision: snapshot.Revisions[k]})
			outcomes = append(outcomes, outcomeOf(k, "deleted", o.dryRun))
		}
		return writes, outcomes, nil
	})
}

// refs returns what the arguments or the files name.
func (o *deleteOptions) refs(cmd *cobra.Command, args []string) ([]reference, error) {
	switch {
	case len(o.paths) > 0 && len(args) > 0:
		return nil, command.UsageError(cmd, errors.New("-f and names: give one of them"))
	case len(o.paths) == 0:
		return namedObjects(cmd, args, o.orDefault())
	}
	read := files.LoadAll(o.paths, files.Options{Namespace: o.orDefault(), Stdin: cmd.InOrStdin()})
	if err := input.Warn(cmd.ErrOrStderr(), read.Findings); err != nil {
		return nil, err
	}
	if input.CountErrors(read.Findings) > 0 {
		return nil, input.InvalidError(read.Findings, "nothing was deleted")
	}
	var refs []reference
	for _, r := range slices.DeleteFunc(read.Resources, isReport) {
		refs = append(refs, reference{[]policy.Key{r.Key}, store.ObjectName(r.Key)})
	}
	return refs, nil
}

// find returns the objects that are named, each of which must be there once.
func (o *deleteOptions) find(refs []reference, snapshot *etcd.Snapshot) ([]policy.Key, error) {
	var keys []policy.Key
	for _, ref := range refs {
		found := ref.present(snapshot)
		switch {
		case len(found) == 0 && o.ignoreNotFound:
		case len(found) == 0:
			return nil, command.ExitWith(command.ExitNo, fmt.Errorf("%s: there is no such object%s; nothing was deleted", ref.text, ref.suggestion(snapshot)))
		case len(found) > 1:
			return nil, fmt.Errorf("%s: there are several objects of this name: write %s or %s; nothing was deleted", ref.text,
				kinds.ByKey(found[0].Kind).FullResource(), kinds.ByKey(found[1].Kind).FullResource())
		case !slices.Contains(keys, found[0]):
			keys = append(keys, found[0])
		}
	}
	return keys, nil
}

// checkNotNeeded refuses to delete what other objects need.
func checkNotNeeded(keys []policy.Key, snapshot *etcd.Snapshot) error {
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
