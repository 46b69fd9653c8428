// Package dnscmd is `tierwall dns`: what the agent of this host has learned of names.
package dnscmd

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent/dnslearner"
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
when each address holds, who got the answer that it was first in, and why rules do
not open it, if they do not: see docs/domains.md. Aliases that policy names, and that
nobody asks for by that name, are noted.

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
	var l dnslearner.Learned
	if err := agenthttp.Get(cmd.Context(), o.metricsAddr, "/dns", &l); err != nil {
		return err
	}
	l.Aliases = slices.DeleteFunc(l.Aliases, func(m dnslearner.MissedAlias) bool { return !chosen.concerns(m) })
	l.Known = slices.DeleteFunc(l.Known, func(n dnslearner.LearnedName) bool { return !chosen.holds(n) })
	if l.Known == nil {
		l.Known = []dnslearner.LearnedName{}
	}
	if o.output == "json" {
		err = output.PrintJSON(cmd.OutOrStdout(), &l)
	} else {
		err = errors.Join(writeLearned(cmd.OutOrStdout(), &l, len(args) > 0), writeAliases(cmd.OutOrStdout(), l.Aliases))
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

func (f *nameFilter) holds(n dnslearner.LearnedName) bool {
	if len(f.domains)+len(f.addrs) == 0 {
		return true
	}
	return slices.ContainsFunc(f.domains, func(d dns.Domain) bool { return d.Holds(n.Name) }) ||
		slices.ContainsFunc(n.Addresses, func(a dnslearner.LearnedAddress) bool { return slices.Contains(f.addrs, a.Address) })
}

// concerns reports whether one of the names of an alias is chosen.
func (f *nameFilter) concerns(m dnslearner.MissedAlias) bool {
	return len(f.domains)+len(f.addrs) == 0 ||
		slices.ContainsFunc(f.domains, func(d dns.Domain) bool { return d.Holds(m.Asked) || d.Holds(m.Alias) })
}

func writeLearned(w io.Writer, l *dnslearner.Learned, filtered bool) error {
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
	header, refused := []string{"NAME", "ADDRESS", "HOLDS UNTIL", "FIRST ASKED BY"}, false
	var rows [][]string
	for _, n := range l.Known {
		for _, a := range n.Addresses {
			row := []string{n.Name, a.Address.String(), a.Expires.Local().Format(time.DateTime), a.Client.String(), ""}
			if a.Refused != "" {
				refused, row[4] = true, refusedText(&a)
			}
			rows = append(rows, row)
		}
	}
	if refused {
		header = append(header, "REFUSED")
	}
	for i := range rows {
		rows[i] = rows[i][:len(header)]
	}
	return output.PrintTable(w, header, rows)
}

// refusedText says why rules for a name do not open an address.
func refusedText(a *dnslearner.LearnedAddress) string {
	why := dns.ReasonOf(a.Refused).Describe(a.Address)
	if why == "" { // of a newer agent
		why = a.Refused
	}
	if a.Counted {
		return why + "; some sets allow that"
	}
	return why
}

// writeAliases lists the questions that taught nothing although they led to a name in
// policy.
func writeAliases(w io.Writer, aliases []dnslearner.MissedAlias) error {
	for _, m := range aliases {
		if _, err := fmt.Fprintf(w, "\nNote: %s\n", dns.MissedAlias{Asked: m.Asked, Alias: m.Alias}); err != nil {
			return err
		}
	}
	return nil
}

// refusedCounts says what was refused; "" if nothing was.
func refusedCounts(counts map[string]uint64) string {
	var parts []string
	for _, label := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", label, counts[label]))
	}
	if len(parts) == 0 {
		return ""
	}
	return "addresses in answers that names must not have: " + strings.Join(parts, ", ") + " (docs/domains.md)"
}

// StatusLines say how it goes with learning the addresses of domains.
func StatusLines(st *dnslearner.Status, s output.Style) [][2]string {
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
	if st.LimitedStreams > 0 {
		lines = append(lines, [2]string{"streams", s.Yellow(fmt.Sprintf("answers on %d connections over TCP were not read to their end: there are too many", st.LimitedStreams))})
	}
	for _, u := range st.Namespaces {
		who := "namespace " + u.Namespace
		switch u.Namespace {
		case "":
			who = "the host itself"
		case dns.GoneClients:
			who = "what is there no more"
		}
		line := fmt.Sprintf("%s has %s", who, output.Count(u.Addresses, "address"))
		if u.Limited > 0 {
			line += fmt.Sprintf("; %d went, or were not learned, for others to have room", u.Limited)
		}
		lines = append(lines, [2]string{"shares", s.Yellow(line)})
	}
	if text := refusedCounts(st.Refused); text != "" {
		lines = append(lines, [2]string{"refused", s.Yellow(text)})
	}
	if st.Unsaved != "" {
		lines = append(lines, [2]string{"restart", s.Yellow("what is known is not kept for the next agent: " + st.Unsaved)})
	}
	return lines
}
