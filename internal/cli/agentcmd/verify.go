package agentcmd

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/output"
)

// verifyAgent compares, shows how far it is, and sums up.
func verifyAgent(cmd *cobra.Command, o *options, cfg agent.Config) error {
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
		if err := output.PrintJSON(out, shown); err != nil {
			return err
		}
	} else if err := writeVerified(cmd, report); err != nil {
		return err
	}
	if report.Differences > 0 {
		return command.ExitWith(command.ExitNo, nil)
	}
	return nil
}
