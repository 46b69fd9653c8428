package agentcmd

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/agent/antispoof"
	"github.com/tierwall/tierwall/internal/cli/agenthttp"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/dnscmd"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/dataplane"
)

// statusOptions are the flags of agent status.
type statusOptions struct {
	addr   string
	format string
}

func newStatusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the agent of this host is doing",
		Long: `Asks the agent that runs on this host, and shows what it enforces: for which local
endpoints, which policies, in which state each is, and all that is wrong with them.

"not enforced" says what packets do not come by the host's hooks, and what to do: such
endpoints are not counted as ones that policy is in force for.

"policy" says whether all of it is in force as the store has it now. An object that is invalid
is not: its last valid version stays in force, if it had one. While the store cannot be reached,
what was last read stays in force, and "store" says since when.

Exit code: 0 if policy is in force as the store has it for all local endpoints, 1 if some of it
is not (the agent is not ready, an object is invalid, the store cannot be followed, endpoints
that policy cannot be enforced for here), 2 if no agent answers.`,
		Example: `  # How is it going?
  tierwall agent status

  # On a node of a cluster
  kubectl -n tierwall-system exec daemonset/tierwall-agent -- tierwall agent status

  # For a script
  tierwall agent status -o json`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.CheckFlag(cmd, o.format, "text", "json"); err != nil {
				return err
			}
			return o.run(cmd)
		},
	}
	agenthttp.RegisterAddr(cmd, &o.addr)
	output.AddFlag(cmd, &o.format, "text", "json")
	return cmd
}

func (o *statusOptions) run(cmd *cobra.Command) error {
	var st agent.Status
	err := agenthttp.Get(cmd.Context(), o.addr, "/status", &st)
	if err != nil {
		return err
	}
	if o.format == "json" {
		err = output.PrintJSON(cmd.OutOrStdout(), st)
	} else {
		err = writeStatus(cmd.OutOrStdout(), &st)
	}
	if err == nil && (!st.Ready || st.NotEnforceableEndpoints > 0 || len(errorsOf(&st)) > 0) {
		err = command.ExitWith(command.ExitNo, nil)
	}
	return err
}

func writeStatus(w io.Writer, st *agent.Status) error {
	s := output.StyleFor(w)
	lines := [][2]string{
		{"node", st.Node},
		{"store", storeText(st, s)},
		{"policy", policyText(st, s)},
	}
	for _, why := range st.WaitingFor {
		lines = append(lines, [2]string{"waiting for", why})
	}
	for _, why := range st.NotEnforced {
		lines = append(lines, [2]string{"not enforced", s.Red(why)})
	}
	for _, why := range st.Warnings {
		lines = append(lines, [2]string{"warning", s.Red(why)})
	}
	for _, spoofing := range st.Spoofing {
		text := spoofing.String()
		if spoofing.IsMany() {
			text = s.Red(text)
		}
		lines = append(lines, [2]string{"dropped sources", text})
	}
	lines = append(lines, [2]string{"local endpoints", strconv.Itoa(st.LocalEndpoints)})
	if st.LastStep != nil {
		lines = append(lines, [2]string{"last change", fmt.Sprintf("%s, in the kernel within %.1f ms", st.LastStep.Format(time.DateTime), st.LastStepMillis)})
	}
	lines = append(lines, [2]string{"drift repaired", output.Count(st.DriftRepairs, "time")},
		[2]string{"connections cut", strconv.FormatUint(st.ConnectionsCut, 10)})
	lines = append(lines, guardLines(st.Guards, s)...)
	if st.DNS != nil && st.DNS.Domains > 0 {
		lines = append(lines, dnscmd.StatusLines(st.DNS, s)...)
	}
	if st.ExtAuthz != nil {
		lines = append(lines, authzLine(st.ExtAuthz))
	}
	lines = append(lines, clusterLines(st, s)...)
	if err := output.PrintFields(w, lines); err != nil {
		return err
	}
	if err := writeEndpoints(w, st); err != nil {
		return err
	}
	return writeObjects(w, st)
}

// storeText names the store, and says since when it cannot be followed.
func storeText(st *agent.Status, s output.Style) string {
	if st.Stale == nil {
		return st.Store
	}
	return st.Store + s.Red(fmt.Sprintf(", which cannot be followed since %s (%s)", st.Stale.Since.Local().Format(time.DateTime), st.Stale.Age()))
}

// policyText says whether policy is in force.
func policyText(st *agent.Status, s output.Style) string {
	var but []string
	switch {
	case !st.Ready:
		return s.Red(st.NotReady)
	case st.NotEnforceableEndpoints > 0:
		but = append(but, fmt.Sprintf("not enforceable here for %d of %s", st.NotEnforceableEndpoints, output.Count(st.LocalEndpoints, "endpoint")))
	}
	switch errs := len(errorsOf(st)); {
	case st.Invalid == 1:
		but = append(but, "1 object is not in the version that the store has")
	case st.Invalid > 1:
		but = append(but, fmt.Sprintf("%d objects are not in the version that the store has", st.Invalid))
	case errs > 0 && st.Stale == nil:
		but = append(but, "there are errors")
	}
	if st.Stale != nil {
		but = append(but, "as it was read before "+st.Stale.Since.Local().Format(time.DateTime))
	}
	switch {
	case len(but) == 0:
		return s.Green("in force")
	case st.NotEnforceableEndpoints == 0:
		but[0] = "in force, but " + but[0]
	}
	return s.Red(strings.Join(but, "; "))
}

// guardLines say what was dropped before policy was asked.
func guardLines(st *antispoof.Status, s output.Style) [][2]string {
	if st == nil {
		return nil
	}
	var lines [][2]string
	var dropped, off []string
	for _, g := range st.Guards {
		if g.Packets > 0 {
			dropped = append(dropped, fmt.Sprintf("%d by %s", g.Packets, g.Guard))
		}
		if g.Off && g.Guard != dataplane.GuardUnknown {
			off = append(off, string(g.Guard))
		}
	}
	if len(dropped) > 0 {
		lines = append(lines, [2]string{"dropped by guards", strings.Join(dropped, ", ")})
	}
	if len(off) > 0 {
		lines = append(lines, [2]string{"guards off", s.Red(strings.Join(off, ", "))})
	}
	for _, x := range st.OutsideSources {
		lines = append(lines, [2]string{"from outside", fmt.Sprintf("%d packets with the pod's address %s", x.Packets, x.Source)})
	}
	if len(st.UnknownMAC) > 0 {
		lines = append(lines, [2]string{"MAC not checked", strings.Join(st.UnknownMAC, ", ") + " (not known yet)"})
	}
	if st.Error != "" {
		lines = append(lines, [2]string{"guards", s.Red(st.Error)})
	}
	return lines
}

// clusterLines say how it goes with what only agents in a cluster have.
func clusterLines(st *agent.Status, s output.Style) [][2]string {
	var lines [][2]string
	if c := st.CNI; c != nil {
		text := fmt.Sprintf("%s started by way of the plugin, %d held up", output.Count(c.Pods, "pod"), c.Waiting)
		if in := c.Install; in != nil && !in.Installed {
			text = s.Red("not installed: " + in.Error)
		}
		lines = append(lines, [2]string{"CNI plugin", text})
	}
	if r := st.Report; r != nil {
		text := "not written yet"
		if r.Written != nil {
			text = "written " + r.Written.Format(time.DateTime)
		}
		if r.Error != "" {
			text = s.Red(r.Error)
		}
		lines = append(lines, [2]string{"report", text})
	}
	return lines
}

// writeEndpoints lists the local endpoints and where they are.
func writeEndpoints(w io.Writer, st *agent.Status) error {
	if len(st.Endpoints) == 0 {
		return nil
	}
	rows := make([][]string, 0, len(st.Endpoints))
	for _, e := range st.Endpoints {
		name, at := e.Name, cmp.Or(e.Interface, e.Unknown)
		if e.Namespace != "" {
			name = e.Namespace + "/" + name
		}
		if e.Bridge != "" {
			at += " (bridge " + e.Bridge + ")"
		}
		if e.NotEnforceable != "" {
			at += " (not enforceable: " + e.NotEnforceable + ")"
		}
		var addrs []string
		for _, a := range e.Addresses {
			addrs = append(addrs, a.String())
		}
		rows = append(rows, []string{name, strings.Join(addrs, ", "), at})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return output.PrintTable(w, []string{"ENDPOINT", "ADDRESSES", "INTERFACE"}, rows)
}

// maxIdle is how many policies without local endpoints are listed.
const maxIdle = 100

// writeObjects lists the policies, and all that is wrong.
func writeObjects(w io.Writer, st *agent.Status) error {
	var rows [][]string
	idle := 0
	for _, o := range st.Objects {
		if o.LocalEndpoints != nil && *o.LocalEndpoints == 0 && len(o.Findings) == 0 {
			if idle++; idle > maxIdle {
				continue
			}
		}
		name, count := o.Name, ""
		if o.Namespace != "" {
			name = o.Namespace + "/" + name
		}
		if o.LocalEndpoints != nil {
			count = strconv.Itoa(*o.LocalEndpoints)
		}
		if o.NotEnforceable > 0 {
			count += fmt.Sprintf(" (%d not enforceable)", o.NotEnforceable)
		}
		rows = append(rows, []string{o.Kind, name, o.State, count})
	}
	if len(rows) > 0 {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := output.PrintTable(w, []string{"KIND", "NAME", "STATE", "LOCAL ENDPOINTS"}, rows); err != nil {
			return err
		}
	}
	if more := idle - maxIdle; more > 0 {
		if _, err := fmt.Fprintf(w, "and %s without local endpoints\n", output.Count(more, "policy")); err != nil {
			return err
		}
	}
	return writeFindings(w, st)
}

// errorsOf returns everything that is wrong, with the store and with objects, once.
func errorsOf(st *agent.Status) []string {
	list := slices.Clone(st.Findings)
	for _, o := range st.Objects {
		list = append(list, o.Findings...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// writeFindings lists everything that is wrong, and what is only worth knowing.
func writeFindings(w io.Writer, st *agent.Status) error {
	notes := slices.Clone(st.Notes)
	for _, o := range st.Objects {
		notes = append(notes, o.Notes...)
	}
	slices.Sort(notes)
	s := output.StyleFor(w)
	if list := errorsOf(st); len(list) > 0 {
		if err := writeList(w, s.Red(output.Count(len(list), "error")+":"), list); err != nil {
			return err
		}
	}
	if list := slices.Compact(notes); len(list) > 0 {
		return writeList(w, output.Count(len(list), "note")+":", list)
	}
	return nil
}

func writeList(w io.Writer, title string, list []string) error {
	_, err := fmt.Fprintf(w, "\n%s\n  %s\n", title, strings.Join(list, "\n  "))
	return err
}
