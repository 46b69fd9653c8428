package crdtest_test

import (
	"maps"
	"slices"

	"pgregory.net/rapid"
)

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

var selectors = []any{"all()", "a == 'b'", "has(a)", "", "a = b", "global()"}

// drawSpec draws a spec of the kind.
func drawSpec(t *rapid.T, kind string) map[string]any {
	switch kind {
	case "Tier":
		return fields(t, map[string]func() any{
			"order":         one(t, "order", 1000000, 1000, 10000000, 5, 1.5, "x"),
			"defaultAction": one(t, "defaultAction", "Deny", "Pass", "Allow", ""),
		})
	case "NetworkSet":
		return fields(t, map[string]func() any{
			"nets":                 list(t, "nets", 3, one(t, "net", "10.0.0.0/8", "10.0.0.1", "fd00::/8", "::1", "10.0.0.0/8", "x", "10.0.0.0/33", "010.0.0.0/8", "fe80::1%eth0")),
			"allowedEgressDomains": list(t, "domains", 2, one(t, "domain", "a.example", "*.b", "", "a b")),
		})
	case "StagedKubernetesNetworkPolicy":
		return drawKubernetes(t)
	}
	out := fields(t, map[string]func() any{
		"tier":                   one(t, "tier", "default", "kube-admin", "nosuch"),
		"order":                  one(t, "order", 5, -1.5, "x"),
		"selector":               one(t, "selector", selectors...),
		"serviceAccountSelector": one(t, "selector", selectors...),
		"types":                  list(t, "types", 2, one(t, "type", "Ingress", "Egress", "Both")),
		"performanceHints":       list(t, "hints", 2, one(t, "hint", "AssumeNeededOnEveryNode", "No")),
	})
	for _, direction := range []string{"ingress", "egress"} {
		out[direction] = list(t, direction, 2, func() any { return drawRule(t) })()
	}
	if kind != "NetworkPolicy" {
		maps.Copy(out, fields(t, map[string]func() any{
			"doNotTrack":        one(t, "doNotTrack", true, false),
			"preDNAT":           one(t, "preDNAT", true, false),
			"applyOnForward":    one(t, "applyOnForward", true, false),
			"namespaceSelector": one(t, "selector", selectors...),
		}))
	}
	if kind == "StagedGlobalNetworkPolicy" {
		maps.Copy(out, fields(t, map[string]func() any{"stagedAction": one(t, "staged", "Set", "Delete", "Learn", "Ignore", "set")}))
	}
	return out
}

func drawRule(t *rapid.T) map[string]any {
	protocol := one(t, "protocol", "TCP", "UDP", "SCTP", "ICMP", "ICMPv6", "UDPLite", 6, "6", 17, 1, "58", 47, 0, 256, "tcp", "")
	icmp := func() any {
		return fields(t, map[string]func() any{"type": one(t, "type", 0, 8, 254, 255, -1), "code": one(t, "code", 0, 255, 256)})
	}
	out := fields(t, map[string]func() any{
		"ipVersion":   one(t, "ipVersion", 4, 6, 5),
		"protocol":    protocol,
		"notProtocol": protocol,
		"icmp":        icmp,
		"notICMP":     icmp,
		"http":        func() any { return map[string]any{"methods": []any{"GET"}} },
		"source":      func() any { return drawSide(t) },
		"destination": func() any { return drawSide(t) },
		"metadata":    func() any { return map[string]any{"annotations": map[string]any{"a": "b"}} },
	})
	out["action"] = pick(t, "action", "Allow", "Deny", "Pass", "Log", "allow")
	return out
}

func drawSide(t *rapid.T) map[string]any {
	net := one(t, "net", "10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "fd00::/8", "::/0", "10.0.0.1", "x", "", "10.0.0.0/08", "::ffff:1.2.3.0/120")
	port := one(t, "port", 80, 1, 65535, "80", "80:90", "http", "a-b.c_d", "x80", "8x", "80-", "-x", 0, 65536, "0", "90:80", "80-90", "-80", "+80", "a b", "", ":", "80:", "00080", "65536:1")
	return fields(t, map[string]func() any{
		"nets":              list(t, "nets", 2, net),
		"notNets":           list(t, "notNets", 2, net),
		"ports":             list(t, "ports", 2, port),
		"notPorts":          list(t, "notPorts", 2, port),
		"selector":          one(t, "selector", selectors...),
		"notSelector":       one(t, "selector", selectors...),
		"namespaceSelector": one(t, "selector", selectors...),
		"serviceAccounts": func() any {
			return fields(t, map[string]func() any{
				"names": list(t, "names", 2, one(t, "name", "a", "a.b", "A", "")), "selector": one(t, "selector", selectors...),
			})
		},
		"services": func() any {
			return fields(t, map[string]func() any{"name": one(t, "name", "a", ""), "namespace": one(t, "namespace", "a", "")})
		},
		"domains": list(t, "domains", 2, one(t, "domain", "a.example", "", "a b")),
	})
}

func drawKubernetes(t *rapid.T) map[string]any {
	labels := func() any {
		return fields(t, map[string]func() any{
			"matchLabels": func() any { return map[string]any{pick(t, "key", "a", "a/b", "a b"): pick(t, "value", "b", "", "b c")} },
			"matchExpressions": list(t, "expressions", 2, func() any {
				return map[string]any{
					"key": pick(t, "key", "a", "b c"), "operator": pick(t, "operator", "In", "NotIn", "Exists", "DoesNotExist", "Is", ""),
					"values": list(t, "values", 2, one(t, "value", "a", "", "b c"))(),
				}
			}),
		})
	}
	cidr := one(t, "cidr", "10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "x", "10.0.0.1")
	peer := func() any {
		return fields(t, map[string]func() any{
			"podSelector": labels, "namespaceSelector": labels,
			"ipBlock": func() any { return map[string]any{"cidr": cidr(), "except": list(t, "except", 2, cidr)()} },
		})
	}
	port := func() any {
		return fields(t, map[string]func() any{
			"protocol": one(t, "protocol", "TCP", "UDP", "SCTP", "ICMP", "tcp"),
			"port":     one(t, "port", 80, 0, 65536, "http", "HTTP", "80", "a--b", "-a", "x234567890123456", ""),
			"endPort":  one(t, "endPort", 90, 70, 0, 65536),
		})
	}
	rule := func(peers string) func() any {
		return func() any {
			return fields(t, map[string]func() any{peers: list(t, peers, 2, peer), "ports": list(t, "ports", 2, port)})
		}
	}
	out := fields(t, map[string]func() any{
		"ingress": list(t, "ingress", 2, rule("from")), "egress": list(t, "egress", 2, rule("to")),
		"policyTypes": list(t, "types", 3, one(t, "type", "Ingress", "Egress", "Both")),
	})
	out["podSelector"] = labels()
	return out
}
