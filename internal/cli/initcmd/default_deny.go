package initcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/selector"
)

// defaultDenyOptions are the flags of init default-deny.
type defaultDenyOptions struct {
	namespaceSelector string
	exclude           []string
	allowDNS          bool
	dnsNamespace      string
	dnsSelector       string
	name, tier        string
	order             string
	staged            bool
	output            string
	force             bool
}

// alwaysExcluded are the namespaces without which a cluster does not work, and
// that of tierwall itself.
var alwaysExcluded = []string{"kube-node-lease", "kube-public", "kube-system", "tierwall-system"}

func newInitDefaultDenyCommand() *cobra.Command {
	o := defaultDenyOptions{}
	cmd := &cobra.Command{
		Use:   "default-deny",
		Short: "Deny what no policy allows, in all namespaces, those made later included",
		Long: `Write GlobalNetworkPolicies that deny what no policy allows, from and to the pods of
all namespaces: those there are and those made later. DNS stays open, and the system's
own namespaces (` + strings.Join(alwaysExcluded, ", ") + `) are
left alone.

Whatever your other policies allow stays allowed: nothing is denied before all
policies of the tier have been asked. A pod without any policy of its own is cut off
but for DNS, so write those policies first, or try it with --staged: staged policies
are checked and reported, and nothing is denied.

Exit code 0: written. 2: failed.`,
		Example: `  # Try it, then mean it
  tierwall init default-deny --staged | kubectl apply -f -
  tierwall init default-deny | kubectl apply -f -

  # Only in the namespaces of production, and not in the monitoring
  tierwall init default-deny --namespace-selector "env == 'prod'" --exclude monitoring -o deny.yaml

  # What would it do to the cluster?
  tierwall init default-deny -o deny.yaml
  kubectl get ns,pods,netpol -A -o yaml > cluster.yaml
  tierwall explain -f cluster.yaml -f deny.yaml --from shop/web-1 --to shop/db-0 --port 5432`,
		Args: command.NoArgs,
		RunE: command.Steps(o.validate, o.run),
	}
	f := cmd.Flags()
	f.StringVar(&o.namespaceSelector, "namespace-selector", "", "deny only in namespaces whose labels match (default: all)")
	f.StringSliceVar(&o.exclude, "exclude", nil, "namespaces to leave alone, besides those of the system")
	f.BoolVar(&o.allowDNS, "allow-dns", true, "let all pods ask the cluster's DNS")
	f.StringVar(&o.dnsNamespace, "dns-namespace", "kube-system", "namespace of the DNS servers")
	f.StringVar(&o.dnsSelector, "dns-selector", "k8s-app == 'kube-dns'", "labels of the DNS servers")
	f.StringVar(&o.name, "name", "default-deny", "name of the policies, for more than one set of them")
	f.StringVar(&o.tier, "tier", "default", "tier of the policies")
	f.StringVar(&o.order, "order", "10000", "order of the policies in their tier; policies of Kubernetes have 1000")
	f.BoolVar(&o.staged, "staged", false, "write staged policies, which deny nothing")
	f.StringVarP(&o.output, "output", "o", "", "file to write (default: standard output)")
	f.BoolVar(&o.force, "force", false, "write over a file that exists")
	_ = cmd.MarkFlagFilename("output", "yaml", "yml")
	return cmd
}

func (o *defaultDenyOptions) run(cmd *cobra.Command) error {
	text, err := o.manifests()
	if err != nil {
		return err
	}
	if o.output == "" {
		_, err := fmt.Fprint(cmd.OutOrStdout(), text)
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(o.output, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("-o %s: the file exists; --force writes over it", o.output)
	}
	if err != nil {
		return fmt.Errorf("-o: %w", err)
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

func (o *defaultDenyOptions) validate(cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return command.UsageError(cmd, err)
	}
	return nil
}

// check refuses values that give no valid policies, by the flags that they came in.
func (o *defaultDenyOptions) check() error {
	for flag, text := range map[string]string{"namespace-selector": o.namespaceSelector, "dns-selector": o.dnsSelector} {
		if _, err := selector.Parse(text); err != nil {
			return fmt.Errorf("--%s: %w", flag, err)
		}
	}
	for _, name := range append(slices.Clone(o.exclude), o.dnsNamespace) {
		if !translate.IsNamespaceName(name) {
			return fmt.Errorf("%q is no name of a namespace: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63", name)
		}
	}
	for flag, name := range map[string]string{"name": o.name, "tier": o.tier} {
		if !translate.IsNamespaceName(name) { // the same rule
			return fmt.Errorf("--%s %q: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63", flag, name)
		}
	}
	if order, err := strconv.ParseFloat(o.order, 64); err != nil || math.IsInf(order, 0) || math.IsNaN(order) {
		return fmt.Errorf("--order %s: expected a number", o.order)
	}
	if o.allowDNS && o.dnsSelector == "" {
		return errors.New("--dns-selector is empty, which is all pods of the namespace: write all() if you mean that")
	}
	return nil
}
