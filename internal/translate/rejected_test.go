package translate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
)

// TestRejected checks that an object that cannot be read in whole is checked all
// the same: everything that is wrong with it is said, and nothing that is not.
func TestRejected(t *testing.T) {
	rule := func(text string) string {
		return "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec:\n  ingress:\n  - " + text + "\n"
	}
	kube := func(text string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  podSelector: {}\n  ingress:\n  - " + text + "\n"
	}
	const tier = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\n"
	for _, tt := range []struct{ name, yaml, want string }{
		{"an unknown field and all else", `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p}
spec:
  tier: defualt
  selector: app = x
  selecter: all()
  order: first
  ingress:
  - action: Alow
    bogus: 1
    protocol: TPC
  - action: Deny
    protocol: TCP
    source: {nets: [x, 5], selector: "a ==", ports: [80.5, "9:1"]}
`, `5: spec.tier: tier "defualt" does not exist, so the policy is not enforced: create the tier, or name one that exists (default, kube-admin, kube-baseline); did you mean "default"?
6: spec.selector: column 5: found "=", expected "==", "!=", "in", "not in", "contains", "starts with" or "ends with"
7: spec.selecter: unknown field; did you mean "selector"?
8: spec.order: is the text "first": expected a number
10: spec.ingress[0].action: "Alow": expected Allow, Deny, Log or Pass; did you mean "Allow"?
11: spec.ingress[0].bogus: unknown field: expected action, destination, http, icmp, ipVersion, metadata, notICMP, notProtocol, protocol, source
12: spec.ingress[0].protocol: "TPC" is no protocol: expected TCP, UDP, ICMP, ICMPv6, SCTP or UDPLite, or a number from 1 to 255; did you mean "TCP"?
15: spec.ingress[1].source.nets[0]: "x" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"
15: spec.ingress[1].source.nets[1]: is the number 5: expected a text; write it in quotes: "5"
15: spec.ingress[1].source.ports[0]: 80.5: expected a port number, a range such as "8000:8080", or a port's name
15: spec.ingress[1].source.ports[1]: "9:1" ends before it begins; did you mean "1:9"?
15: spec.ingress[1].source.selector: column 5: found the end of the selector, expected a string in quotes`},
		{"nothing about what a misspelt field says", rule(`{actoin: Allow, protocl: TCP, destination: {ports: [80, "9:1"]}}`),
			`6: spec.ingress[0].actoin: unknown field; did you mean "action"?
6: spec.ingress[0].destination.ports[1]: "9:1" ends before it begins; did you mean "1:9"?
6: spec.ingress[0].protocl: unknown field; did you mean "protocol"?`},
		{"nothing about what failed to be read", rule(`{action: [Allow], protocol: {}, ipVersion: x, icmp: {type: many, code: 0}, destination: {ports: 80, nets: 10.0.0.0/8}}`),
			`6: spec.ingress[0].action: holds a list: expected a text
6: spec.ingress[0].destination.nets: is the text "10.0.0.0/8": expected a list (- value)
6: spec.ingress[0].destination.ports: is the number 80: expected a list (- value)
6: spec.ingress[0].icmp.type: is the text "many": expected a whole number
6: spec.ingress[0].ipVersion: is the text "x": expected a whole number
6: spec.ingress[0].protocol: {}: expected a protocol name such as TCP, or a number from 1 to 255`},
		{"an unknown field is not what is missing", rule(`{verdict: Allow}`),
			`6: spec.ingress[0].action: is missing: expected Allow, Deny, Log or Pass
6: spec.ingress[0].verdict: unknown field: expected action, destination, http, icmp, ipVersion, metadata, notICMP, notProtocol, protocol, source`},
		{"Kubernetes", kube(`{from: [{}, {podSelecter: {}}, {ipBlock: {cdir: x, except: [y]}}], ports: [{prot: 80, endPort: 70}, {port: 80, endPort: 70}, {port: x, endPort: z}], form: 1}`),
			`7: spec.ingress[0].form: unknown field; did you mean "from"?
7: spec.ingress[0].from[0]: is empty: expected a podSelector, a namespaceSelector, both or an ipBlock
7: spec.ingress[0].from[1].podSelecter: unknown field; did you mean "podSelector"?
7: spec.ingress[0].from[2].ipBlock.cdir: unknown field; did you mean "cidr"?
7: spec.ingress[0].from[2].ipBlock.except[0]: "y" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"
7: spec.ingress[0].ports[0].prot: unknown field; did you mean "port"?
7: spec.ingress[0].ports[1].endPort: 70 is less than port 80: the range ends before it begins
7: spec.ingress[0].ports[2].endPort: is the text "z": expected a whole number`},
		{"an empty item beside an unknown field", kube(`{from: [{}], porst: []}`),
			`7: spec.ingress[0].from[0]: is empty: expected a podSelector, a namespaceSelector, both or an ipBlock
7: spec.ingress[0].porst: unknown field; did you mean "ports"?`},
		{"twice the same key", "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec:\n  defaultAction: Alow\n  defaultAction: Deny\n",
			`5: spec.defaultAction: "Alow": expected Deny or Pass
6: spec.defaultAction: is written twice: the first is on line 5`},
		{"without a name", "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {}\nspec: {defaultAction: Alow}\n",
			`3: metadata.name: is missing: a Tier needs a name
4: spec.defaultAction: "Alow": expected Deny or Pass`},
		{"the second of a name", tier + "---\n" + tier + "spec: {defaultAction: Alow}\n",
			`7: metadata.name: is already the name of the Tier at <stdin>:1: remove one of them, or rename it
8: spec.defaultAction: "Alow": expected Deny or Pass`},
		{"the second of a name, unreadable", tier + "---\n" + tier + "spec: {ordr: 1}\n",
			`7: metadata.name: is already the name of the Tier at <stdin>:1: remove one of them, or rename it
8: spec.ordr: unknown field; did you mean "order"?`},
		{"a tier that is there, but wrong", tier + "spec: {ordr: 1}\n---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {tier: t}\n",
			`4: spec.ordr: unknown field; did you mean "order"?
9: spec.tier: tier "t" is invalid, so the policy is not enforced: fix the tier`},
		{"a tier that is there, with a wrong value", tier + "spec: {defaultAction: Alow}\n---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {tier: t}\n",
			`4: spec.defaultAction: "Alow": expected Deny or Pass
9: spec.tier: tier "t" is invalid, so the policy is not enforced: fix the tier`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read := files.LoadAll([]string{"-"}, files.Options{Stdin: strings.NewReader(tt.yaml)})
			loaded := translate.Load(read.Resources, read.Rejected, translate.Options{Offline: true})
			if len(loaded.Model.Policies) > 0 {
				t.Errorf("the model has %v", loaded.Model.Policies[0].Key)
			}
			all := append(read.Findings, loaded.Findings...)
			slices.SortStableFunc(all, store.Finding.Compare)
			diff(t, "findings", strings.Split(tt.want, "\n"), lines(all))
		})
	}
}
