package agentcmd

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/cli/version"
)

// verifyOptions are the flags of agent verify.
type verifyOptions struct {
	source sourceFlags
	host   hostFlags
	guards guardFlags
	dns    dnsFlags
	runDir string
	log    flags.Log
	format string
}

func newVerifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify --store files:DIR|kube|etcd:URL",
		Short: "Compare the kernel's decisions with the store's policy",
		Long: `Reads back what the kernel of this host enforces, and compares what it decides with
what the policies in the store say: for all local addresses, against every class of
peers, all protocols and ports; at the hooks of the host itself; and what guards do to
frames of all kinds, as they come by each pod's link. It changes nothing, and an agent
may run meanwhile.

Give it the flags that the agent has. What of a change is under way differs until the
agent has it in force.

It also says for which endpoints that is not enough, because packets of theirs do not come
by the host's hooks (docs/troubleshooting.md, "Not enforceable here").

Exit code: 0 if all decisions agree and are in force, 1 if some differ or some endpoints
cannot be enforced for here, 2 if it fails.`,
		Example: `  # Does the kernel really decide what policy says?
  sudo tierwall agent verify --store files:/etc/tierwall

  # On a node of a cluster
  kubectl -n tierwall-system exec daemonset/tierwall-agent -- \
    tierwall agent verify --store kube`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(cmd); err != nil {
				return err
			}
			if err := o.validate(cmd); err != nil {
				return err
			}
			return o.run(cmd)
		},
	}
	o.source.register(cmd)
	o.host.register(cmd)
	o.guards.register(cmd)
	o.dns.register(cmd)
	cmd.Flags().StringVar(&o.runDir, "run-dir", defaultRunDir, "directory of the agent's files, which holds the last valid versions")
	_ = cmd.MarkFlagDirname("run-dir")
	o.log.Register(cmd)
	output.AddFlag(cmd, &o.format, "text", "json")
	return cmd
}

// complete fills in what follows from other flags and from the host.
func (o *verifyOptions) complete(cmd *cobra.Command) error {
	if err := o.host.complete(cmd, o.source.isKube()); err != nil {
		return err
	}
	if err := o.guards.complete(cmd); err != nil {
		return err
	}
	return o.source.complete()
}

func (o *verifyOptions) validate(cmd *cobra.Command) error {
	if err := output.CheckFlag(cmd, o.format, "text", "json"); err != nil {
		return err
	}
	if err := o.log.Validate(cmd); err != nil {
		return err
	}
	return o.source.validate(cmd)
}

// run compares, shows how far it is, and sums up.
func (o *verifyOptions) run(cmd *cobra.Command) error {
	if err := agent.Privileged(); err != nil {
		return err
	}
	log := o.log.Logger(cmd.ErrOrStderr())
	dns, err := o.dns.config()
	if err != nil {
		return err
	}
	o.source.readService(dns)
	source, err := o.source.open(log)
	if err != nil {
		return err
	}
	if c, ok := source.(io.Closer); ok {
		defer func() { _ = c.Close() }()
	}
	cfg := agent.Config{
		Source: source, Node: o.source.node, RunDir: o.runDir, Host: o.host.settings, DNS: dns, Log: log, Version: version.Get().Version,
	}
	o.guards.apply(&cfg)
	report, findings, err := agent.Verify(cmd.Context(), cfg, agent.ReadBack, verifyProgress(cmd.ErrOrStderr()))
	for _, f := range findings {
		if !f.Note {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "invalid: %s\n", f.Error())
		}
	}
	if err != nil {
		return err
	}
	show := printVerified
	if o.format == "json" {
		show = printVerifiedJSON
	}
	if err := show(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	if report.Differences > 0 || len(report.NotEnforceable) > 0 {
		return command.ExitWith(command.ExitNo, nil)
	}
	return nil
}

// verifyProgress returns what shows on a terminal how far the comparison is.
func verifyProgress(w io.Writer) func(done, total int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(int, int) {}
	}
	return func(done, total int) {
		end := "\r"
		if done == total {
			end = "\r\x1b[K"
		}
		_, _ = fmt.Fprintf(f, "\x1b[K%d of %d decisions%s", done, total, end)
	}
}

// printVerified sums up what verify found.
func printVerified(out io.Writer, r *agent.Verified) error {
	s := output.StyleFor(out)
	verdict := s.Green("the kernel decides all of them as policy says")
	if r.Differences > 0 {
		verdict = s.Red(fmt.Sprintf("the kernel decides %d of them otherwise than policy says", r.Differences))
	}
	for _, d := range r.First {
		if _, err := fmt.Fprintf(out, "%s\n", d); err != nil {
			return err
		}
	}
	if more := r.Differences - len(r.First); more > 0 {
		if _, err := fmt.Fprintf(out, "and %d more\n", more); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(out, "%s, %s, %s: %s.\n",
		output.Count(r.Endpoints, "local address"), output.Count(r.Classes, "class"), output.Count(r.Decisions, "decision"), verdict); err != nil {
		return err
	}
	for _, f := range r.NotEnforceable {
		if _, err := fmt.Fprintf(out, "%s %s: %s\n", s.Red("not enforceable here for"), output.Count(len(f.Endpoints), "endpoint"), f); err != nil {
			return err
		}
	}
	return nil
}

func printVerifiedJSON(out io.Writer, report *agent.Verified) error {
	type difference struct {
		Connection string `json:"connection,omitempty"`
		Direction  string `json:"direction,omitempty"`
		Host       string `json:"host,omitempty"` // endpoint and hook, where it is one that disagrees
		Link       string `json:"link,omitempty"` // place and frame, where guards of a link disagree
		Kernel     string `json:"kernel,omitempty"`
		Policy     string `json:"policy,omitempty"`
		Structure  string `json:"structure,omitempty"` // nothing else is set then
	}
	shown := struct {
		Agree       bool         `json:"agree"`
		Endpoints   int          `json:"endpoints"`
		Classes     int          `json:"classes"`
		Decisions   int          `json:"decisions"`
		Differences int          `json:"differences"`
		First       []difference `json:"first"`
		// NotEnforceable is for whom the kernel's decisions do not count, and why.
		NotEnforceable []agent.NotEnforceableStatus `json:"notEnforceable"`
	}{
		report.Differences == 0, report.Endpoints, report.Classes, report.Decisions, report.Differences, []difference{},
		agent.DescribeNotEnforceable(report.NotEnforceable),
	}
	for _, d := range report.First {
		if d.Structure != "" {
			shown.First = append(shown.First, difference{Structure: d.Structure})
			continue
		}
		shown.First = append(shown.First, difference{
			Connection: d.Connection(), Direction: d.Direction.String(), Host: d.Host, Link: d.Link, Kernel: d.Kernel.String(), Policy: d.Reference.String(),
		})
	}
	return output.PrintJSON(out, shown)
}
