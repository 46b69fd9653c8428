package translate_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden translates whole manifests and compares the policies and sets, as
// text, with the file of the same name that ends in .golden.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/articles/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no manifests", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			got := text(load(t, readFile(t, name)))
			golden := strings.TrimSuffix(name, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			diff(t, golden, strings.Split(readFile(t, golden), "\n"), strings.Split(got, "\n"))
		})
	}
}

// TestExamplesAreValid reads every manifest that the project shows its users.
func TestExamplesAreValid(t *testing.T) {
	resources, found := files.Load([]string{"../../examples"}, files.Options{})
	if len(resources) == 0 {
		t.Skip("there are no examples yet")
	}
	// Each example is a cluster of its own: names may repeat between them.
	for _, f := range found {
		if !f.Note && !strings.Contains(f.Message, "is already the name of") {
			t.Error(f)
		}
	}
	for _, f := range translate.Load(resources, nil, translate.Options{Offline: true}).Findings {
		if !f.Note {
			t.Error(f)
		}
	}
}

// text writes tiers, policies and sets for people.
func text(m *policy.Model) string {
	var b strings.Builder
	for _, tier := range m.Tiers {
		fmt.Fprintf(&b, "tier %s order %g ends %v\n", tier.Name, tier.Order, tier.DefaultAction)
	}
	for _, s := range m.Sets {
		fmt.Fprintf(&b, "set %v %v %v\n", s.Key, s.Labels, s.Nets)
	}
	for _, p := range m.Policies {
		fmt.Fprintf(&b, "policy %v tier %s order %g on %v\n", p.Key, p.Tier, p.Order, p.Selector)
		for _, dir := range policy.Directions {
			if !p.Types[dir] {
				continue
			}
			fmt.Fprintf(&b, "  %v\n", dir)
			for _, r := range p.Rules[dir] {
				fmt.Fprintf(&b, "    %d %v%s%s%s\n", r.Index, r.Action, ruleText(&r), peerText(" from", &r.Source), peerText(" to", &r.Destination))
			}
		}
	}
	return b.String()
}

func ruleText(r *policy.Rule) string {
	s := ""
	if r.Family != policy.AnyFamily {
		s += fmt.Sprintf(" IPv%d", r.Family)
	}
	if r.Protocol != nil {
		s += " " + r.Protocol.String()
	}
	if r.NotProtocol != nil {
		s += " not " + r.NotProtocol.String()
	}
	return s
}

func peerText(word string, p *policy.Peer) string {
	var s string
	if p.Set != nil {
		s += " [" + p.Set.Selector.String() + "]"
		if p.Set.EndpointsOnly {
			s += " (endpoints)"
		}
	}
	if p.NotSet != nil {
		s += " not [" + p.NotSet.Selector.String() + "]"
	}
	if p.Nets != nil {
		s += fmt.Sprintf(" %v", p.Nets)
	}
	if p.NotNets != nil {
		s += fmt.Sprintf(" not %v", p.NotNets)
	}
	if p.Ports != nil {
		s += fmt.Sprintf(" port %v%v", p.Ports.Ranges, p.Ports.Names)
	}
	if s == "" {
		return ""
	}
	return word + s
}
