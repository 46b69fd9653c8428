package objects

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/kinds"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd"
	"github.com/tierwall/tierwall/policy"
)

// getOptions are the flags of get.
type getOptions struct {
	etcdFlags
	output string
}

var getFormats = []string{"table", "yaml", "json", "name"}

// NewGetCommand returns `tierwall get`.
func NewGetCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get {KIND[,KIND...] | all} [NAME...] --store etcd:https://HOST:2379",
		Short: "Show objects that etcd holds",
		Long: `Show objects that etcd holds: a kind or several, or all; or objects by name.

What -o yaml gives can be edited and applied again. What cannot be read as an object
is said on standard error: tierwall validate says more.

For a cluster, use kubectl get.

Exit code 0: shown. 1: an object that was named is not there. 2: failed.`,
		Example: `  # All policies of a namespace; of all namespaces
  tierwall get netpol,gnp -n prod --store etcd:https://10.0.0.1:2379
  tierwall get netpol,gnp -A --store etcd:https://10.0.0.1:2379

  # Change one
  tierwall get gnp default.deny-all -o yaml --store etcd:https://10.0.0.1:2379 > deny.yaml`,
		RunE:              o.run,
		ValidArgsFunction: completeKindArg,
	}
	o.register(cmd)
	cmd.Flags().BoolVarP(&o.input.AllNamespaces, "all-namespaces", "A", false, "show objects of all namespaces")
	output.AddFlag(cmd, &o.output, getFormats...)
	return cmd
}

func (o *getOptions) run(cmd *cobra.Command, args []string) error {
	if err := output.CheckFlag(cmd, o.output, getFormats...); err != nil {
		return err
	}
	s, err := o.open(cmd)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return command.UsageError(cmd, errors.New("expected a KIND, KIND/NAME or all"))
	}
	var find func(*etcd.Snapshot) ([]store.Resource, error)
	single := false
	if len(args) == 1 && !strings.Contains(args[0], "/") {
		find, err = o.byKind(cmd, args[0])
	} else {
		var refs []reference
		if refs, err = namedObjects(cmd, args, o.orDefault()); err == nil {
			single = len(refs) == 1
			find = func(snapshot *etcd.Snapshot) ([]store.Resource, error) { return byName(refs, snapshot) }
		}
	}
	if err != nil {
		return err
	}
	snapshot, err := s.Snapshot(cmd.Context())
	if err != nil {
		return err
	}
	for _, f := range input.Errors(snapshot.Findings) {
		if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "invalid: %s\n", f); err != nil {
			return err
		}
	}
	found, err := find(&snapshot)
	if err != nil {
		return err
	}
	return o.print(cmd, found, single)
}

// byKind returns what picks the objects of kinds.
func (o *getOptions) byKind(cmd *cobra.Command, words string) (func(*etcd.Snapshot) ([]store.Resource, error), error) {
	var chosen []policy.KindInfo
	if words == "all" {
		chosen = policy.StoredKinds()
	} else {
		for word := range strings.SplitSeq(words, ",") {
			of, err := kinds.Parse(word)
			if err != nil {
				return nil, command.UsageError(cmd, err)
			}
			chosen = append(chosen, of...)
		}
	}
	return func(snapshot *etcd.Snapshot) ([]store.Resource, error) {
		var found []store.Resource
		for _, r := range snapshot.Resources {
			if slices.ContainsFunc(chosen, func(k policy.KindInfo) bool { return k.Key == r.Key.Kind }) &&
				(r.Key.Namespace == "" || o.input.AllNamespaces || r.Key.Namespace == o.orDefault()) {
				found = append(found, r)
			}
		}
		return found, nil
	}, nil
}

// byName returns objects by name.
func byName(refs []reference, snapshot *etcd.Snapshot) ([]store.Resource, error) {
	var found []store.Resource
	for _, ref := range refs {
		before := len(found)
		for _, r := range snapshot.Resources {
			if slices.Contains(ref.keys, r.Key) {
				found = append(found, r)
			}
		}
		switch {
		case len(found) > before:
		case len(ref.present(snapshot)) > 0:
			return nil, fmt.Errorf("%s: cannot be read", ref.text)
		default:
			return nil, command.ExitWith(command.ExitNo, fmt.Errorf("%s: there is no such object%s", ref.text, ref.suggestion(snapshot)))
		}
	}
	return found, nil
}

// emptyStatus is how the types of policy.networking.k8s.io write that they have none.
// What users write in an object cannot look like it: its quotes would be escaped.
var emptyStatus = []byte(`,"status":{"conditions":null}`)

func (o *getOptions) print(cmd *cobra.Command, found []store.Resource, single bool) error {
	out := cmd.OutOrStdout()
	switch o.output {
	case "json", "yaml":
		var text []byte
		var err error
		if single && len(found) == 1 {
			text, err = json.Marshal(found[0].Object)
		} else {
			items := make([]any, len(found))
			for i, r := range found {
				items[i] = r.Object
			}
			text, err = json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
		}
		if err != nil {
			return err
		}
		return printObject(out, o.output, bytes.ReplaceAll(text, emptyStatus, nil))
	case "name":
		for _, r := range found {
			if _, err := fmt.Fprintln(out, kinds.ByKey(r.Key.Kind).FullSingular()+"/"+r.Key.Name); err != nil {
				return err
			}
		}
		return nil
	}
	if len(found) == 0 {
		where := "in namespace " + o.orDefault()
		if o.input.AllNamespaces {
			where = "in any namespace"
		}
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), "No objects found "+where+".")
		return err
	}
	rows := make([][]string, len(found))
	for i := range found {
		rows[i] = o.row(&found[i])
	}
	header := []string{"KIND", "NAME", "GENERATION", "AGE"}
	if o.input.AllNamespaces {
		header = append([]string{"NAMESPACE"}, header...)
	}
	return output.PrintTable(out, header, rows)
}

func (o *getOptions) row(r *store.Resource) []string {
	generation, age := "", "unknown"
	if meta, ok := r.Object.(metav1.Object); ok {
		generation = fmt.Sprint(meta.GetGeneration())
		if t := meta.GetCreationTimestamp(); t.Unix() > 0 {
			age = duration.HumanDuration(time.Since(t.Time))
		}
	}
	row := []string{kinds.ByKey(r.Key.Kind).FullSingular(), r.Key.Name, generation, age}
	if o.input.AllNamespaces {
		row = append([]string{r.Key.Namespace}, row...)
	}
	return row
}

// printObject writes JSON as it is to be read.
func printObject(w io.Writer, format string, text []byte) error {
	if format == "json" {
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "", "  "); err != nil {
			return err
		}
		indented.WriteByte('\n')
		_, err := indented.WriteTo(w)
		return err
	}
	text, err := yaml.JSONToYAML(text)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}
