package explain

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/printable"
	"github.com/tierwall/tierwall/policy"
)

// explainText renders an explanation for a reader in a hurry: the verdict, the
// reason, and then for each end what its tiers, policies and rules said. "=>"
// marks what decided, "->" what passed the connection on.
func explainText(x *explanation, s output.Style) string {
	p := &explainPrinter{explanation: x, Style: s}
	p.summary()
	p.end(policy.Egress)
	p.hosts()
	p.end(policy.Ingress)
	p.answers()
	for _, n := range x.notes {
		p.printf("\n%s %s\n", p.Yellow("Note:"), n)
	}
	return p.b.String()
}

type explainPrinter struct {
	*explanation
	output.Style
	b strings.Builder
}

// printf writes text, in which what manifests say is made printable.
func (p *explainPrinter) printf(format string, args ...any) {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = printable.Painted(s)
		}
	}
	fmt.Fprintf(&p.b, format, args...)
}

// summary prints the verdict on a line of its own, and one line for each end
// that brought it about.
func (p *explainPrinter) summary() {
	verdict, word := p.result.Verdict, verdictWord(p.result.Verdict)
	if p.guard != nil {
		verdict, word = policy.Deny, "dropped"
	}
	p.printf("%s  %s -> %s%s, %s\n", p.outcome(verdict, strings.ToUpper(word)),
		p.Bold(named(p.src)), p.Bold(named(p.dst)), p.through(), p.connection())
	if p.guard != nil {
		p.printf("  %s\n", p.outcome(policy.Deny, guardText(p.result.Verdict, p.guard)))
	}
	if p.result.Egress.By == nil && p.result.Ingress.By == nil && len(p.result.Hosts) == 0 {
		p.printf("  %s\n", p.ungoverned())
	}
	for _, dir := range policy.Directions {
		if d := p.decision(dir); d.By != nil && d.Verdict == p.result.Verdict {
			p.printf("  %s by %s\n", p.outcome(d.Verdict, dir.String()+" "+verdictWord(d.Verdict)), p.decider(d))
		}
	}
	p.hostReasons()
	p.answerReason()
	p.labels("from labels:", p.src)
	p.labels("to labels:  ", p.dst)
}

// maxLabels keeps the labels of an endpoint on a line or two.
const maxLabels = 12

// labels prints an endpoint's own labels, which most rules ask for. What it has
// by its namespace and service account is left out.
func (p *explainPrinter) labels(title string, e ends.End) {
	if e.Endpoint == nil {
		return
	}
	var own []string
	for _, l := range e.Endpoint.Labels {
		if !isDerivedLabel(l.Key) {
			own = append(own, strings.TrimPrefix(l.Key, "own:")+"="+l.Value)
		}
	}
	if more := len(own) - maxLabels; more > 0 {
		own = append(own[:maxLabels], fmt.Sprintf("and %d more", more))
	}
	if len(own) == 0 {
		own = []string{"none"}
	}
	p.printf("  %s\n", p.Dim(title+" "+strings.Join(own, ", ")))
}

// isDerivedLabel reports whether translation gave the label to the endpoint.
func isDerivedLabel(key string) bool {
	switch key {
	case "projectcalico.org/namespace", "projectcalico.org/orchestrator", "projectcalico.org/serviceaccount":
		return true
	}
	return strings.HasPrefix(key, "pcns.") || strings.HasPrefix(key, "pcsa.")
}

// end prints the trace of one direction.
func (p *explainPrinter) end(dir policy.Direction) {
	title, self, d := "Egress from "+p.src.Name, p.src, p.decision(dir)
	if dir == policy.Ingress {
		title, self = "Ingress to "+p.dst.Name, p.dst
	}
	p.printf("\n%s: %s", p.Bold(title), p.outcome(d.Verdict, verdictWord(d.Verdict)))
	if why := p.undecided(dir); why != "" {
		p.printf(", %s", why)
	}
	p.printf("\n")
	if d.By == nil && p.exempt(self) != "" {
		return
	}
	traced := d.Trace
	for _, t := range slices.SortedFunc(slices.Values(p.model.Tiers), policy.CompareTiers) {
		if len(traced) == 0 && d.By != nil && d.By.Kind != policy.KindProfile || p.isOpen(d) {
			break // decided before this tier
		}
		if len(traced) > 0 && traced[0].Tier == t.Name {
			p.tier(t, traced[0])
			traced = traced[1:]
		} else if n := p.policiesOf(t.Name, dir); n > 0 {
			p.printf("%s\n", p.Dim("     tier "+t.Name+": skipped, "+noneOf(n, dir)))
		}
	}
	p.profile(d)
}

// tier prints what one tier said.
func (p *explainPrinter) tier(t *policy.Tier, trace policy.TierTrace) {
	p.printf("     %s %s\n", p.Bold("tier "+t.Name), p.Dim(orderText(t.Order)))
	for _, pt := range trace.Policies {
		p.printf("       %s %s\n", objectText(pt.Key), p.Dim(strings.TrimSpace(orderText(pt.Order)+" "+p.place(pt.Key))))
		p.rules(pt.Rules, "on to the next tier")
	}
	switch {
	case trace.ToOwnNode:
		p.printf("  %s\n", p.outcome(policy.Pass, "->   end of tier: no rule decided, and Kubernetes NetworkPolicies alone never deny a pod its own node: on to the next tier"))
	case trace.AtEnd && trace.Outcome == policy.Pass:
		p.printf("  %s\n", p.outcome(policy.Pass, "->   end of tier: no rule decided, the default action is Pass: on to the next tier"))
	case trace.AtEnd:
		p.printf("  %s\n", p.outcome(trace.Outcome, "=>   end of tier: no rule decided, the default action is "+trace.Outcome.String()))
	}
}

// rules prints the rules of a policy or profile; next says where Pass leads.
func (p *explainPrinter) rules(traced []policy.RuleTrace, next string) {
	rules := mergeRules(traced)
	if len(rules) == 0 {
		p.printf("         %s\n", p.Dim("no rules"))
	}
	for _, r := range rules {
		p.rule(r, next)
	}
}

// rule prints one rule: on one line, or on several where its alternatives failed
// for different reasons.
func (p *explainPrinter) rule(r sourceRule, next string) {
	left := fmt.Sprintf("rule %d  %-5s  ", r.Index, r.Action)
	switch {
	case !r.Matched:
		whys := r.whys()
		p.printf("         %s%s%s\n", p.Dim(left), p.Dim("no match: "), whys[0])
		for _, why := range whys[1:] {
			p.printf("         %s%s%s\n", strings.Repeat(" ", len(left)), p.Dim("     nor: "), why)
		}
	case r.Action == policy.Log:
		p.printf("         %smatch: recorded, the next rule is asked\n", left)
	case r.Action == policy.Pass:
		p.printf("  %s\n", p.outcome(r.Action, "->     "+left+"match: "+next))
	default:
		p.printf("  %s\n", p.outcome(r.Action, "=>     "+left+"match"))
	}
}

// profile prints the decision of what no tier decided.
func (p *explainPrinter) profile(d policy.Decision) {
	switch {
	case d.By == nil:
		return
	case d.By.Kind == policy.KindFailsafe || d.By.Kind == policy.KindEndpointToHost:
		p.printf("  %s\n", p.outcome(d.Verdict, "=> "+p.decider(d)))
		return
	case d.By.Kind != policy.KindProfile:
		return
	}
	for _, pt := range d.Profiles {
		if policy.IsReservedProfile(pt.Key.Name) {
			continue // it has no rules that somebody wrote
		}
		p.printf("     %s %s\n", p.Bold("profile "+pt.Key.Name), p.Dim(p.place(pt.Key)))
		p.rules(pt.Rules, "on to the next profile")
	}
	if !decidedByRule(d) {
		p.printf("  %s\n", p.outcome(d.Verdict, "=> "+profileText(d)))
	}
}

// decidedByRule reports whether a rule of a profile decided that somebody wrote.
func decidedByRule(d policy.Decision) bool {
	n := len(d.Profiles)
	return n > 0 && d.By != nil && d.By.Kind == policy.KindProfile && d.By.Name == d.Profiles[n-1].Key.Name && !policy.IsReservedProfile(d.By.Name)
}

// profileText says what of profiles decided, where it was no rule of one.
func profileText(d policy.Decision) string {
	switch {
	case d.Verdict == policy.Allow:
		return "profile " + d.By.Name + ": no tier decided, the profile allows all"
	case d.By.Name != "":
		return "profile " + d.By.Name + ": no tier decided, and there is no such profile, so that the default is Deny"
	case len(d.Profiles) > 0:
		return "end of the profiles: no tier and no rule of a profile decided, and the default is Deny"
	}
	return "no profile: no tier decided, and without a profile the default is Deny (a WorkloadEndpoint gets one by spec.profiles, or as a pod by orchestrator: k8s)"
}

// ungoverned says why neither end decides anything, for the first lines: what is
// exempt is so whichever policies there are.
func (p *explainPrinter) ungoverned() string {
	if p.flow.Src == p.flow.Dst {
		return p.exempt(p.src) + ", whatever the policies say"
	}
	if p.exempt(p.dst) == nodeToPod {
		return nodeToPod + ", whatever the policies say"
	}
	return "no policy governs either end"
}

// decider names what decided, in words, with its place.
func (p *explainPrinter) decider(d policy.Decision) string {
	key := policy.Key{Kind: d.By.Kind, Namespace: d.By.Namespace, Name: d.By.Name}
	place := p.place(key)
	if place != "" {
		place = " (" + place + ")"
	}
	switch {
	case d.By.Kind == policy.KindFailsafe:
		return "the failsafe " + d.By.Failsafe.String() + ", which agents have by their flags"
	case d.By.Kind == policy.KindEndpointToHost:
		return "what agents say of pods to their own host (--endpoint-to-host)"
	case decidedByRule(d):
		return fmt.Sprintf("rule %d of profile %s%s: no tier decided", d.By.Rule, d.By.Name, place)
	case d.By.Kind == policy.KindProfile && d.Verdict == policy.Deny && d.By.Name != "":
		return "default: no tier decided, and profile " + d.By.Name + " does not exist"
	case d.By.Kind == policy.KindProfile && d.Verdict == policy.Deny && len(d.Profiles) > 0:
		return "default: no tier decided, and no rule of the endpoint's profiles"
	case d.By.Kind == policy.KindProfile && d.Verdict == policy.Deny:
		return "default: no tier decided, and the endpoint has no profile"
	case d.By.Kind == policy.KindProfile:
		return "profile " + d.By.Name + ": no tier decided"
	case d.By.Rule != policy.EndOfTier:
		return fmt.Sprintf("rule %d of %s in tier %s%s", d.By.Rule, objectText(key), d.By.Tier, place)
	}
	if n := len(d.Trace[len(d.Trace)-1].Policies); n > 1 {
		return fmt.Sprintf("the end of tier %s: no rule of the %d policies that apply decides", d.By.Tier, n)
	}
	return fmt.Sprintf("the end of tier %s: no rule of %s decides%s", d.By.Tier, objectText(key), place)
}

// policiesOf counts the policies of a tier that govern the direction, of
// whichever endpoints.
func (p *explainPrinter) policiesOf(tier string, dir policy.Direction) int {
	n := 0
	for _, pol := range p.model.Policies {
		if pol.Tier == tier && pol.Types[dir] {
			n++
		}
	}
	return n
}

// connection names the protocol with its ports or type.
func (p *explainPrinter) connection() string {
	f := p.flow
	switch {
	case f.Protocol.IsICMP():
		return fmt.Sprintf("%s type %d code %d", f.Protocol, f.ICMPType, f.ICMPCode)
	case !f.Protocol.HasPorts() && f.Protocol.String() == strconv.Itoa(int(f.Protocol)):
		return "protocol " + f.Protocol.String()
	case !f.Protocol.HasPorts():
		return f.Protocol.String()
	case p.anyEphemeral:
		return fmt.Sprintf("%s port %d%s", f.Protocol, f.DstPort, requestText(f.HTTP))
	}
	return fmt.Sprintf("%s port %d from port %d%s", f.Protocol, f.DstPort, f.SrcPort, requestText(f.HTTP))
}

// outcome paints text in the colour of an outcome.
func (p *explainPrinter) outcome(a policy.Action, text string) string {
	switch a {
	case policy.Allow:
		return p.Green(text)
	case policy.Deny:
		return p.Red(text)
	}
	return p.Yellow(text)
}

// verdictWord returns "allowed" or "denied".
func verdictWord(a policy.Action) string {
	if a == policy.Allow {
		return "allowed"
	}
	return "denied"
}

// named returns an end with its address, unless the address is its name or was made up.
func named(e ends.End) string {
	if e.Name == e.Addr.String() || e.Endpoint != nil && e.Endpoint.PlaceholderAddrs {
		return e.Name
	}
	return e.Name + " (" + e.Addr.String() + ")"
}

// objectText returns "Kind namespace/name", as kubectl users say it.
func objectText(k policy.Key) string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// orderText returns an order in brackets; one that is absent counts as the last.
func orderText(order float64) string {
	if math.IsInf(order, 1) {
		return "(no order: last)"
	}
	return "(order " + strconv.FormatFloat(order, 'f', -1, 64) + ")"
}

func noneOf(n int, dir policy.Direction) string {
	if n == 1 {
		return fmt.Sprintf("its one %s policy does not apply here", dir)
	}
	return fmt.Sprintf("none of its %d %s policies applies here", n, dir)
}
