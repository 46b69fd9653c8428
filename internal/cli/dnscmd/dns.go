// Package dnscmd is `tierwall dns`: what the agent of this host has learned of names.
package dnscmd

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/cli/agenthttp"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/dns"
)

type options struct {
	metricsAddr string
	output      string
}

// NewCommand returns `tierwall dns`.
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "dns [DOMAIN|ADDRESS]...",
		Short: "Show what the agent of this host has learned of names",
		Long: `Shows the names that rules with domains refer to on this host, with the addresses
that DNS servers have given to endpoints here, as the running agent knows them: until
when each address holds, and who got the answer that it was first in.

With arguments it shows these names only, or the names that have these addresses.

Exit code: 0, 1 if nothing is known of what was asked for or nothing can be learned
at present, 2 if no agent answers.`,
		Example: `  # What is known, and does it go well?
  tierwall dns

  # Which addresses may pods reach by the rule for this domain?
  tierwall dns '*.example.com'

  # Which names have this address?
  tierwall dns 198.51.100.7`,
		RunE: o.run,
	}
	agenthttp.RegisterAddr(cmd, &o.metricsAddr)
	output.AddFlag(cmd, &o.output, "text", "json")
	return cmd
}

func (o *options) run(cmd *cobra.Command, args []string) error {
	if err := output.CheckFlag(cmd, o.output, "text", "json"); err != nil {
		return err
	}
	chosen, err := parseNameFilter(args)
	if err != nil {
		return command.UsageError(cmd, err)
	}
	var l agent.Learned
	if err := agenthttp.Get(cmd.Context(), o.metricsAddr, "/dns", &l); err != nil {
		return err
	}
	l.Known = slices.DeleteFunc(l.Known, func(n agent.LearnedName) bool { return !chosen.holds(n) })
	if l.Known == nil {
		l.Known = []agent.LearnedName{}
	}
	if o.output == "json" {
		err = output.PrintJSON(cmd.OutOrStdout(), &l)
	} else {
		err = writeLearned(cmd.OutOrStdout(), &l, len(args) > 0)
	}
	if err == nil && (l.Failure != "" || len(args) > 0 && len(l.Known) == 0) {
		err = command.ExitWith(command.ExitNo, nil)
	}
	return err
}

// nameFilter chooses names; empty, it chooses all.
type nameFilter struct {
	domains []dns.Domain
	addrs   []netip.Addr
}

func parseNameFilter(args []string) (nameFilter, error) {
	var f nameFilter
	for _, text := range args {
		if a, err := netip.ParseAddr(text); err == nil {
			f.addrs = append(f.addrs, a.Unmap())
			continue
		}
		d, err := dns.ParseDomain(text)
		if err != nil {
			return f, err
		}
		f.domains = append(f.domains, d)
	}
	return f, nil
}

func (f *nameFilter) holds(n agent.LearnedName) bool {
	if len(f.domains)+len(f.addrs) == 0 {
		return true
	}
	return slices.ContainsFunc(f.domains, func(d dns.Domain) bool { return d.Holds(n.Name) }) ||
		slices.ContainsFunc(n.Addresses, func(a agent.LearnedAddress) bool { return slices.Contains(f.addrs, a.Address) })
}

func writeLearned(w io.Writer, l *agent.Learned, filtered bool) error {
	s := output.StyleFor(w)
	if !filtered || l.Failure != "" {
		if err := output.PrintFields(w, StatusLines(&l.Status, s)); err != nil {
			return err
		}
	}
	if len(l.Known) == 0 {
		return nil
	}
	if !filtered || l.Failure != "" {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	var rows [][]string
	for _, n := range l.Known {
		for _, a := range n.Addresses {
			rows = append(rows, []string{n.Name, a.Address.String(), a.Expires.Local().Format(time.DateTime), a.Client.String()})
		}
	}
	return output.PrintTable(w, []string{"NAME", "ADDRESS", "HOLDS UNTIL", "FIRST ASKED BY"}, rows)
}

// StatusLines say how it goes with learning the addresses of domains.
func StatusLines(st *agent.DNSStatus, s output.Style) [][2]string {
	if st.Failure != "" {
		return [][2]string{{"domains", s.Red(fmt.Sprintf("%d in policy, whose addresses are not learned: %s", st.Domains, st.Failure))}}
	}
	if st.Domains == 0 {
		return [][2]string{{"domains", "none in policy"}}
	}
	servers := make([]string, len(st.Servers))
	for i, a := range st.Servers {
		servers[i] = a.String()
	}
	lines := [][2]string{
		{"domains", fmt.Sprintf("%d in policy; %s known with %s", st.Domains, output.Count(st.Names, "name"), output.Count(st.Addresses, "address"))},
		{"DNS servers", strings.Join(servers, ", ")},
	}
	if st.Late > 0 {
		lines = append(lines, [2]string{"late answers", s.Yellow(fmt.Sprintf("%d went before their addresses were in the kernel", st.Late))})
	}
	if st.Limited > 0 {
		lines = append(lines, [2]string{"limits", s.Yellow(output.Count(int(min(st.Limited, 1<<30)), "address") + " not learned, or forgotten early: there are too many")})
	}
	if st.Unsaved != "" {
		lines = append(lines, [2]string{"restart", s.Yellow("what is known is not kept for the next agent: " + st.Unsaved)})
	}
	return lines
}
