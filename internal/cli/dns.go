package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/policy"
)

type dnsOptions struct {
	metricsAddr string
	output      string
}

func newDNSCommand() *cobra.Command {
	var o dnsOptions
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
	cmd.Flags().StringVar(&o.metricsAddr, "metrics-addr", defaultMetricsAddr, "where the agent serves metrics, health and status")
	addOutputFlag(cmd, &o.output, "text", "json")
	return cmd
}

func (o *dnsOptions) run(cmd *cobra.Command, args []string) error {
	if err := checkOutput(cmd, o.output, "text", "json"); err != nil {
		return err
	}
	chosen, err := parseNameFilter(args)
	if err != nil {
		return usageError(cmd, err)
	}
	var l agent.Learned
	if err := askAgent(cmd.Context(), o.metricsAddr, "/dns", &l); err != nil {
		return err
	}
	l.Known = slices.DeleteFunc(l.Known, func(n agent.LearnedName) bool { return !chosen.holds(n) })
	if l.Known == nil {
		l.Known = []agent.LearnedName{}
	}
	if o.output == "json" {
		err = printJSON(cmd.OutOrStdout(), &l)
	} else {
		err = writeLearned(cmd.OutOrStdout(), &l, len(args) > 0)
	}
	if err == nil && (l.Failure != "" || len(args) > 0 && len(l.Known) == 0) {
		err = exitWith(exitNo, nil)
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
	s := styleFor(w)
	if !filtered || l.Failure != "" {
		for _, line := range dnsLines(&l.Status, s) {
			if _, err := fmt.Fprintf(w, "%s%s\n", pad(line[0], 17), line[1]); err != nil {
				return err
			}
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
	return printTable(w, []string{"NAME", "ADDRESS", "HOLDS UNTIL", "FIRST ASKED BY"}, rows)
}

// dnsLines say how it goes with learning the addresses of domains.
func dnsLines(st *agent.DNSStatus, s style) [][2]string {
	if st.Failure != "" {
		return [][2]string{{"domains", s.red(fmt.Sprintf("%d in policy, whose addresses are not learned: %s", st.Domains, st.Failure))}}
	}
	if st.Domains == 0 {
		return [][2]string{{"domains", "none in policy"}}
	}
	servers := make([]string, len(st.Servers))
	for i, a := range st.Servers {
		servers[i] = a.String()
	}
	lines := [][2]string{
		{"domains", fmt.Sprintf("%d in policy; %s known with %s", st.Domains, plural(st.Names, "name"), plural(st.Addresses, "address"))},
		{"DNS servers", strings.Join(servers, ", ")},
	}
	if st.Late > 0 {
		lines = append(lines, [2]string{"late answers", s.yellow(fmt.Sprintf("%d went before their addresses were in the kernel", st.Late))})
	}
	if st.Limited > 0 {
		lines = append(lines, [2]string{"limits", s.yellow(plural(int(min(st.Limited, 1<<30)), "address") + " not learned, or forgotten early: there are too many")})
	}
	if st.Unsaved != "" {
		lines = append(lines, [2]string{"restart", s.yellow("what is known is not kept for the next agent: " + st.Unsaved)})
	}
	return lines
}

// askAgent gets what the agent of this host serves at a path.
func askAgent(ctx context.Context, addr, path string, into any) error {
	if addr == "off" {
		return errors.New("the agent is asked at --metrics-addr, which is off")
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return fmt.Errorf("--metrics-addr %s: %w", addr, err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{Proxy: nil}}).Do(req)
	if err != nil {
		return fmt.Errorf("no agent answers at %s: %w", addr, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the agent at %s answers %s", addr, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("what answers at %s is no tierwall agent: %w", addr, err)
	}
	return nil
}

// dnsFlags are the flags of an agent about domains.
type dnsFlags struct {
	servers []string
	service string
}

// noLearning is what --dns-servers says to have nothing learned.
const noLearning = "off"

func (f *dnsFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.servers, "dns-servers", nil,
		"addresses of the DNS servers whose answers are trusted for rules with domains (default: those that /etc/resolv.conf names, and the cluster's DNS service); "+noLearning+": nobody's")
	cmd.Flags().StringVar(&f.service, "dns-service", agent.DefaultDNSService.Namespace+"/"+agent.DefaultDNSService.Name,
		"NAMESPACE/NAME of the cluster's DNS service")
}

// config returns what an agent does about domains; nil for nothing.
func (f *dnsFlags) config() (*agent.DNS, error) {
	if len(f.servers) == 1 && f.servers[0] == noLearning {
		return nil, nil
	}
	cfg := &agent.DNS{}
	for _, text := range f.servers {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("--dns-servers: %q is no address: expected one such as 10.96.0.10, or %s", text, noLearning)
		}
		cfg.Servers = append(cfg.Servers, a.Unmap())
	}
	namespace, name, found := strings.Cut(f.service, "/")
	if !found || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("--dns-service %s: expected NAMESPACE/NAME", f.service)
	}
	cfg.Service = policy.Key{Kind: agent.DefaultDNSService.Kind, Namespace: namespace, Name: name}
	return cfg, nil
}
