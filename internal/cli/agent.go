package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tierwall/tierwall/internal/agent"
)

type agentOptions struct {
	store         string
	node          string
	metricsAddr   string
	runDir        string
	checkInterval time.Duration
	logFormat     string
	debug         bool

	remove, verify, status bool
	output                 string
}

const defaultMetricsAddr = "127.0.0.1:9098"

func newAgentCommand() *cobra.Command {
	var o agentOptions
	cmd := &cobra.Command{
		Use:   "agent --store files:DIR",
		Short: "Enforce policy on this host",
		Long: `Enforces policy on this host, for the WorkloadEndpoints and Pods of its node, in a
kernel table of its own that leaves all others alone. It follows the store:
what changes there is in force at once, connections that a change denies are
ended, all others live on.

An object that is invalid keeps its last valid version in force and is reported:
in the log, at http://` + defaultMetricsAddr + `/status, in the metrics.

When the agent ends, in whatever way, what it has put in force stays in force.
The next one takes over without a gap, and keeps the last valid version of what
is invalid then. --remove takes everything away.

Exit code: 0 at an orderly end (--verify: all agree), 1 if --verify finds
differences or --status an agent that is not ready, 2 if it fails.`,
		Example: `  # Enforce what the manifests say, and follow them
  sudo tierwall agent --store files:/etc/tierwall

  # How is it going?
  tierwall agent --status

  # Does the kernel really decide what policy says?
  sudo tierwall agent --store files:/etc/tierwall --verify

  # Enforce nothing any more
  sudo tierwall agent --remove`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAgent(cmd, &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.store, "store", "", "where resources come from: files:DIR")
	f.StringVar(&o.node, "node", "", "name of this host in the resources (default: its host name)")
	f.StringVar(&o.metricsAddr, "metrics-addr", defaultMetricsAddr, "loopback address and port of metrics, health and status; off for none")
	f.DurationVar(&o.checkInterval, "check-interval", 30*time.Second, "time between two comparisons of what the kernel holds with what it should")
	f.StringVar(&o.runDir, "run-dir", "/run/tierwall", "directory of the lock file and of the last valid versions")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.BoolVar(&o.debug, "debug", false, "log more")
	f.BoolVar(&o.remove, "remove", false, "take away what is in force, and end")
	f.BoolVar(&o.verify, "verify", false, "compare the kernel's decisions with the store's policy, and end")
	f.BoolVar(&o.status, "status", false, "show how the agent on this host is doing, and end")
	addOutputFlag(cmd, &o.output, "text", "json")
	cmd.MarkFlagsMutuallyExclusive("remove", "verify", "status")
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runAgent(cmd *cobra.Command, o *agentOptions) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	if o.status {
		return showStatus(cmd, o)
	}
	log := o.logger(cmd)
	cfg := agent.Config{
		Store: o.store, Node: o.node, MetricsAddr: o.metricsAddr, RunDir: o.runDir, CheckInterval: o.checkInterval,
		Open: agent.OpenKernel(log), Meddling: agent.Meddling, Log: log, Version: readBuildInfo().Version,
	}
	if cfg.MetricsAddr == "off" {
		cfg.MetricsAddr = ""
	}
	if cfg.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("name of this host: %w; name it with --node", err)
		}
		cfg.Node = name
	}
	if err := agent.Privileged(); err != nil {
		return err
	}
	switch {
	case o.remove:
		if err := agent.Remove(cmd.Context(), cfg); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "removed: nothing is enforced on this host any more")
		return err
	case o.verify:
		return verifyAgent(cmd, o, cfg)
	}
	return agent.Run(cmd.Context(), cfg)
}

// check refuses flags that make no sense, before anything else happens.
func (o *agentOptions) check(cmd *cobra.Command) error {
	if err := checkOutput(cmd, o.output, "text", "json"); err != nil {
		return err
	}
	switch {
	case o.logFormat != "text" && o.logFormat != "json":
		return usageError(cmd, fmt.Errorf("--log-format %s: expected text or json", o.logFormat))
	case o.checkInterval < time.Second:
		return usageError(cmd, fmt.Errorf("--check-interval %s: expected at least 1s", o.checkInterval))
	case o.store == "" && !o.remove && !o.status:
		return usageError(cmd, errors.New("no store: name a directory of manifests with --store files:DIR"))
	}
	return nil
}

// logger writes to standard error, and leaves the time to whoever collects it
// when that is a journal and no terminal.
func (o *agentOptions) logger(cmd *cobra.Command) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if o.debug {
		opts.Level = slog.LevelDebug
	}
	w := cmd.ErrOrStderr()
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// verifyAgent compares, shows how far it is, and sums up.
func verifyAgent(cmd *cobra.Command, o *agentOptions, cfg agent.Config) error {
	progress := func(int, int) {}
	if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		progress = func(done, total int) {
			end := "\r"
			if done == total {
				end = "\r\x1b[K"
			}
			_, _ = fmt.Fprintf(f, "\x1b[K%d of %d decisions%s", done, total, end)
		}
	}
	report, findings, err := agent.Verify(cmd.Context(), cfg, agent.ReadBack, progress)
	for _, f := range findings {
		if !f.Note {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "invalid: %s\n", f.Error())
		}
	}
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if o.output == "json" {
		type difference struct {
			Connection string `json:"connection"`
			Direction  string `json:"direction"`
			Kernel     string `json:"kernel"`
			Policy     string `json:"policy"`
		}
		shown := struct {
			Agree       bool         `json:"agree"`
			Endpoints   int          `json:"endpoints"`
			Classes     int          `json:"classes"`
			Decisions   int          `json:"decisions"`
			Differences int          `json:"differences"`
			First       []difference `json:"first"`
		}{report.Differences == 0, report.Endpoints, report.Classes, report.Decisions, report.Differences, []difference{}}
		for _, d := range report.First {
			shown.First = append(shown.First, difference{d.Connection(), d.Direction.String(), d.Kernel.String(), d.Reference.String()})
		}
		if err := printJSON(out, shown); err != nil {
			return err
		}
	} else if err := writeVerified(cmd, report); err != nil {
		return err
	}
	if report.Differences > 0 {
		return exitWith(exitNo, nil)
	}
	return nil
}
