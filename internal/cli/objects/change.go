package objects

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/kinds"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd"
	"github.com/tierwall/tierwall/policy"
)

// changeFlags are the flags of the commands that write.
type changeFlags struct {
	dryRun bool
	output string
}

var changeFormats = []string{"text", "json", "name"}

func (o *changeFlags) register(cmd *cobra.Command, dryRun string) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, dryRun)
	output.AddFlag(cmd, &o.output, changeFormats...)
}

func (o *changeFlags) validate(cmd *cobra.Command) error {
	return output.CheckFlag(cmd, o.output, changeFormats...)
}

// maxAttempts is how often a write is tried when others write the same objects.
const maxAttempts = 4

// change reads the store, has writes planned for what it holds, makes them unless it is all
// dry, and prints what became of each object. If somebody else has written in between, all is
// read and planned again.
func (o *changeFlags) change(cmd *cobra.Command, s *etcd.Store, plan func(*etcd.Snapshot) ([]etcd.Write, []outcome, error)) error {
	for attempt := 1; ; attempt++ {
		outcomes, err := o.try(cmd, s, plan)
		if err == nil {
			return printOutcomes(cmd, o.output, outcomes)
		}
		if _, conflict := errors.AsType[*etcd.ConflictError](err); !conflict || attempt == maxAttempts {
			return err
		}
	}
}

func (o *changeFlags) try(cmd *cobra.Command, s *etcd.Store, plan func(*etcd.Snapshot) ([]etcd.Write, []outcome, error)) ([]outcome, error) {
	snapshot, err := s.Snapshot(cmd.Context())
	if err != nil {
		return nil, err
	}
	writes, outcomes, err := plan(&snapshot)
	if err != nil || o.dryRun || len(writes) == 0 {
		return outcomes, err
	}
	_, done, err := s.Commit(cmd.Context(), writes)
	return outcomes, partialError(writes, done, err)
}

// partialError says how much was written before an error.
func partialError(writes []etcd.Write, done int, err error) error {
	switch {
	case err == nil:
		return nil
	case done == 0:
		return err
	}
	return fmt.Errorf("%w\n%d of %d objects are written, up to %s: repeat the command to write the others",
		err, done, len(writes), store.ObjectName(writes[done-1].Key))
}

// outcome is what became of an object.
type outcome struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Result is created, configured (changed), unchanged or deleted.
	Result string `json:"result"`
	DryRun bool   `json:"dryRun,omitempty"`

	key policy.Key
}

func outcomeOf(key policy.Key, result string, dryRun bool) outcome {
	return outcome{store.WrittenKind(key.Kind), key.Namespace, key.Name, result, dryRun, key}
}

// printOutcomes says what became of each object, as kubectl does.
func printOutcomes(cmd *cobra.Command, format string, outcomes []outcome) error {
	if format == "json" {
		if outcomes == nil {
			outcomes = []outcome{}
		}
		return output.PrintJSON(cmd.OutOrStdout(), outcomes)
	}
	for _, x := range outcomes {
		line := kinds.ByKey(x.key.Kind).FullSingular() + "/" + x.Name
		if format == "text" {
			if x.Namespace != "" {
				line += " in " + x.Namespace
			}
			line += " " + x.Result
			if x.DryRun {
				line += " (dry run)"
			}
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
			return err
		}
	}
	return nil
}
