package files

import "reflect"

// misplacedFields tells where a field belongs that is written in the wrong
// place, or how the API at hand calls it: by the name of the type, then of the
// field. Most who err here know another policy API.
var misplacedFields = map[string]map[string]string{
	"Rule": {
		"ports":             "ports belong to source or destination",
		"notPorts":          "notPorts belongs to source or destination",
		"nets":              "nets belong to source or destination",
		"selector":          "a rule's selector belongs to source or destination",
		"namespaceSelector": "namespaceSelector belongs to source or destination",
		"from":              "this API writes source",
		"to":                "this API writes destination",
		"log":               "logging is a rule of its own, with action: Log",
	},
	"EntityRule": {
		"cidr":              "this API writes nets, which is a list",
		"ipBlock":           "this API writes nets and notNets",
		"podSelector":       "this API writes selector, in the language of selectors",
		"protocol":          "protocol belongs to the rule",
		"port":              "this API writes ports, which is a list",
		"serviceAccount":    "this API writes serviceAccounts",
		"serviceaccount":    "this API writes serviceAccounts",
		"serviceAccountRef": "this API writes serviceAccounts",
	},
	"NetworkPolicySpec": {
		"podSelector":       "projectcalico.org/v3 writes selector; networking.k8s.io/v1 writes podSelector",
		"policyTypes":       "projectcalico.org/v3 writes types; networking.k8s.io/v1 writes policyTypes",
		"namespaceSelector": "a NetworkPolicy applies to its own namespace; GlobalNetworkPolicy has namespaceSelector",
		"selector":          "networking.k8s.io/v1 writes podSelector; projectcalico.org/v3 writes selector",
		"types":             "networking.k8s.io/v1 writes policyTypes; projectcalico.org/v3 writes types",
		"tier":              "policies of networking.k8s.io/v1 are all in tier default; those of projectcalico.org/v3 name one",
		"order":             "policies of networking.k8s.io/v1 have no order; those of projectcalico.org/v3 do",
		"doNotTrack":        "only GlobalNetworkPolicy has it",
		"preDNAT":           "only GlobalNetworkPolicy has it",
		"applyOnForward":    "only GlobalNetworkPolicy has it",
	},
	"GlobalNetworkPolicySpec": {
		"podSelector": "this API writes selector",
		"policyTypes": "this API writes types",
		"namespace":   "a GlobalNetworkPolicy is of every namespace; namespaceSelector narrows it",
	},
	"NetworkPolicyPeer": {
		"selector": "this API writes podSelector",
		"nets":     "this API writes ipBlock",
		"cidr":     "cidr belongs to ipBlock",
	},
	"NetworkPolicyIngressRule": {
		"action": "this API only allows: a rule has no action",
		"source": "this API writes from",
		"to":     "an ingress rule says where connections come from: write from",
	},
	"NetworkPolicyEgressRule": {
		"action":      "this API only allows: a rule has no action",
		"destination": "this API writes to",
		"from":        "an egress rule says where connections go: write to",
	},
}

func misplaced(t reflect.Type, name string) string { return misplacedFields[t.Name()][name] }
