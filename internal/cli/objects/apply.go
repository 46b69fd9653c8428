package objects

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// applyOptions are the flags of apply.
type applyOptions struct {
	etcdFlags
	changeFlags
	paths []string
}

// NewApplyCommand returns `tierwall apply`.
func NewApplyCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply -f FILE --store etcd:https://HOST:2379",
		Short: "Write manifests to etcd, if they are valid",
		Long: `Write the objects of manifests to etcd: those that are new, and those that differ
from what is there, as a whole. What is there and in no manifest stays.

All manifests are checked first, together with what the store holds: if anything in
them is wrong, or makes another object wrong, nothing is written. Up to 100 objects
of together at most 1.25 MiB are written in one step, all or none; agents see no
state in between. If somebody else changes one of the objects at the same time, all
is read and checked again.

For a cluster, use kubectl apply.

Exit code 0: written, or nothing to write. 2: failed, with what was written, if anything.`,
		Example: `  # Check what would happen, then do it
  tierwall apply -f policies/ --store etcd:https://10.0.0.1:2379 --etcd-cacert ca.crt --dry-run
  tierwall apply -f policies/ --store etcd:https://10.0.0.1:2379 --etcd-cacert ca.crt

  # Move a cluster's policies to hosts outside of it
  kubectl get netpol -A -o yaml | tierwall apply -f - --store etcd:https://10.0.0.1:2379`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags.Files(cmd, &o.paths)
	o.etcdFlags.register(cmd)
	o.changeFlags.register(cmd, "check all and say what would be written, and write nothing")
	return cmd
}

func (o *applyOptions) run(cmd *cobra.Command) error {
	if err := o.validate(cmd); err != nil {
		return err
	}
	if len(o.paths) == 0 {
		return command.UsageError(cmd, errors.New("nothing to write: name a file or directory with -f, or - for standard input"))
	}
	s, err := o.open(cmd)
	if err != nil {
		return err
	}
	read := files.LoadAll(o.paths, files.Options{Namespace: o.orDefault(), Stdin: cmd.InOrStdin()})
	for _, r := range read.Resources {
		if isReport(r) {
			f := r.At("", "passed over: agents write it")
			f.Note = true
			read.Findings = append(read.Findings, f)
		}
	}
	read.Resources = slices.DeleteFunc(read.Resources, isReport)
	for _, f := range read.Findings {
		if f.Note {
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", f); err != nil {
				return err
			}
		}
	}
	return o.change(cmd, s, func(snapshot *etcd.Snapshot) ([]etcd.Write, []outcome, error) {
		if err := acceptable(&read, snapshot); err != nil {
			return nil, nil, err
		}
		return planApply(read.Resources, snapshot, o.dryRun)
	})
}

// isReport reports whether an object is what an agent says of its node, which is for clusters.
func isReport(r store.Resource) bool { return r.Key.Kind == policy.KindNodePolicyReport }

// acceptable refuses manifests that are wrong, or make something else wrong.
func acceptable(read *files.Loaded, snapshot *etcd.Snapshot) error {
	touched := map[policy.Key]bool{}
	for _, r := range read.Resources {
		touched[r.Key] = true
	}
	for _, r := range read.Rejected {
		touched[r.Key] = true
	}
	before := input.Check(snapshot.Resources, snapshot.Rejected)
	var resources []store.Resource
	for _, r := range snapshot.Resources {
		if !touched[r.Key] {
			resources = append(resources, r)
		}
	}
	var rejected []store.Rejected
	for _, r := range snapshot.Rejected {
		if !touched[r.Key] {
			rejected = append(rejected, r)
		}
	}
	after := input.Check(append(resources, read.Resources...), append(rejected, read.Rejected...))
	if wrong := append(input.Errors(read.Findings), newErrors(before, after, touched)...); len(wrong) > 0 {
		slices.SortStableFunc(wrong, store.Finding.Compare)
		return input.InvalidError(wrong, "nothing was written")
	}
	return nil
}

// planApply returns the writes that make the store hold the resources, and what
// that means for each of them.
func planApply(resources []store.Resource, snapshot *etcd.Snapshot, dryRun bool) ([]etcd.Write, []outcome, error) {
	present := map[policy.Key]*store.Resource{}
	for i := range snapshot.Resources {
		present[snapshot.Resources[i].Key] = &snapshot.Resources[i]
	}
	var writes []etcd.Write
	var all []outcome
	for i := range resources {
		r := &resources[i]
		value, changed, err := etcd.Encode(r, present[r.Key], time.Now())
		if err != nil {
			return nil, nil, err
		}
		revision := snapshot.Revisions[r.Key]
		if err := stale(r, present[r.Key]); err != nil {
			return nil, nil, err
		}
		result := "unchanged"
		switch {
		case revision == 0:
			result = "created"
		case changed:
			result = "configured"
		}
		all = append(all, outcomeOf(r.Key, result, dryRun))
		if changed {
			writes = append(writes, etcd.Write{Key: r.Key, Value: value, Revision: revision})
		}
	}
	return writes, all, nil
}

// stale refuses a manifest that was got from the store before somebody else
// changed the object. Versions of other stores say nothing here.
func stale(r, now *store.Resource) error {
	written, ok := r.Object.(metav1.Object)
	if !ok || now == nil || written.GetResourceVersion() == "" {
		return nil
	}
	held := now.Object.(metav1.Object)
	if written.GetUID() != held.GetUID() || written.GetResourceVersion() == held.GetResourceVersion() {
		return nil
	}
	return r.At("metadata.resourceVersion", "is %s, but the store holds version %s, which somebody else has written since: get it again; or leave the field out to write over it; nothing was written",
		written.GetResourceVersion(), held.GetResourceVersion())
}
