package judges

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/policy"
)

// What is known of names, throughout: the stranger has two names, the vault one, and
// the world one that nothing refers to.
var known = map[string]string{
	"www.shop.example": "stranger", "cdn.example": "stranger", "vault.shop.example": "vault", "www.world.example": "world",
	"vault.bank.svc.cluster.local": "vault", "node.shop.example": otherNode,
}

// ownerOf returns what of the cluster has an address: pods and nodes do.
func ownerOf(a netip.Addr) dns.Reason {
	for host, addrs := range addresses {
		switch {
		case !slices.Contains(addrs[:], a) || slices.Contains([]string{"office", "world", "stranger"}, host):
		case host == ownNode || host == otherNode:
			return dns.NodeAddress
		default:
			return dns.EndpointAddress
		}
	}
	return dns.NoReason
}

// learn brings the domains of changed sets to what is known, and what is known of
// them to the engine.
func (s *stage) learn(changes []policy.Change) {
	if s.names == nil {
		s.names = dns.NewTable(dns.DefaultLimits)
		s.names.SetGuard(dns.Guard{Owner: ownerOf, Internal: dns.InternalDomains(dns.Domain{Name: dns.DefaultClusterDomain})})
	}
	for _, c := range changes {
		set, isSet := c.Object.(*policy.Set)
		if isSet || c.Object == nil {
			s.names.SetDomains(c.Key, set)
		}
	}
	var facts []dns.Record
	for name, host := range known {
		for _, a := range addresses[host] {
			facts = append(facts, dns.Record{Name: name, Addr: a, TTL: time.Hour})
		}
	}
	s.names.Learn(facts, addresses["web"][0], time.Unix(0, 0))
	s.names.Flush(func(c policy.Change) { s.engine.Apply(c) })
}

// model is what the translator gives, with what was learned.
func (s *stage) model() *policy.Model {
	m := s.translator.Model()
	if s.names != nil {
		s.names.Each(func(c policy.Change) { m.Sets = append(m.Sets, c.Object.(*policy.Set)) })
	}
	return m
}

// domains makes a set of domains, with a label.
func domains(name, label, list string) string {
	return set(name, label, "[192.0.2.128/25]\n\t\tallowedEgressDomains: "+list)
}

var domainRows = []row{
	{
		name: "a rule's own domain",
		objects: np("shop/web", `
			selector: app == 'web'
			egress:
			- {action: Allow, protocol: TCP, destination: {domains: [WWW.shop.example.], ports: [80]}}`),
		flows: `
			web -> stranger TCP 80  Allow
			web -> stranger TCP 81  Deny
			web -> stranger UDP 80  Deny
			web -> world    TCP 80  Deny
			web -> vault    TCP 80  Deny
			db  -> stranger TCP 81  Allow`,
	},
	{
		name: "names below a domain, which a pod or a node must not hide behind",
		objects: np("shop/web", `
			selector: app == 'web'
			egress: [{action: Allow, destination: {domains: ["*.shop.example"]}}]`),
		flows: `
			web -> stranger TCP 80  Allow
			web -> vault    TCP 80  Deny
			web -> node-2   TCP 80  Deny
			web -> world    TCP 80  Deny
			web -> db       TCP 80  Deny`,
	},
	{
		name: "names of the cluster have pods' addresses",
		objects: np("shop/web", `
			selector: app == 'web'
			egress: [{action: Allow, destination: {domains: ["*.cluster.local"]}}]`),
		flows: `
			web -> vault    TCP 80  Allow
			web -> stranger TCP 80  Deny
			web -> db       TCP 80  Deny`,
	},
	{
		name: "a set may let its names have addresses of the cluster",
		objects: strings.Replace(domains("shop/saas", "role: saas", `["*.shop.example"]`), "metadata: {",
			`metadata: {annotations: {policy.tierwall.dev/allow-internal: "true"}, `, 1) + np("shop/web", `
			selector: app == 'web'
			egress: [{action: Allow, destination: {selector: role == 'saas'}}]`),
		flows: `
			web -> stranger TCP 80  Allow
			web -> vault    TCP 80  Allow
			web -> node-2   TCP 80  Allow
			web -> world    TCP 80  Deny
			web -> db       TCP 80  Deny`,
	},
	{
		name: "two names of one address are two facts",
		objects: np("shop/web", `
			selector: app == 'web'
			egress:
			- {action: Allow, protocol: TCP, destination: {domains: [cdn.example], ports: [80]}}
			- {action: Allow, protocol: TCP, destination: {domains: [www.shop.example], ports: [81]}}`),
		flows: `
			web -> stranger TCP 80,81  Allow
			web -> stranger TCP 82     Deny`,
	},
	{
		name: "domains but not in a net",
		objects: np("shop/web", `
			selector: app == 'web'
			egress: [{action: Allow, destination: {domains: ["*.shop.example", "*.cluster.local"], notNets: [10.0.0.0/8]}}]`),
		flows: `
			web -> stranger TCP 80  v4 Allow
			web -> vault    TCP 80  v4 Deny`,
	},
	{
		name: "a set's domains, beside its nets, by its label",
		objects: domains("shop/saas", "role: saas", "[www.shop.example]") + np("shop/web", `
			selector: app == 'web'
			egress: [{action: Allow, destination: {selector: role == 'saas'}}]`),
		flows: `
			web -> stranger TCP 80  Allow
			web -> vault    TCP 80  Deny`,
	},
	{
		name: "a set's domains are for egress rules that allow, and for nothing else",
		objects: domains("saas", "role: saas", `["*.shop.example"]`) + gnp("all", `
			selector: has(app)
			ingress:
			- {action: Deny, source: {selector: role == 'saas'}}
			- {action: Allow}
			egress:
			- {action: Deny, protocol: TCP, destination: {selector: role == 'saas', ports: [80]}}
			- {action: Allow, protocol: TCP, destination: {selector: role == 'saas', ports: [80, 81]}}`),
		flows: `
			web      -> stranger TCP 80,81 Allow
			web      -> stranger TCP 82    Deny
			stranger -> web      TCP 80    Allow`,
	},
	{
		name: "a rule's domains are nobody else's: not of selectors that match what has no labels",
		objects: np("shop/web", `
			selector: app == 'web'
			egress: [{action: Allow, destination: {domains: [www.shop.example]}}]`) + gnp("other", `
			selector: app == 'db'
			egress: [{action: Allow, destination: {selector: "!has(app) && role != 'partner' && role != 'feed'"}}]`),
		flows: `
			web -> stranger TCP 80  Allow
			db  -> stranger TCP 80  Deny`,
	},
	{
		name: "a domain of which nothing is known",
		objects: np("shop/web", `
			selector: app == 'web'
			egress: [{action: Allow, destination: {domains: [shop.example, "*.unknown.example"]}}]`),
		flows: `
			web -> stranger TCP 80  Deny
			web -> vault    TCP 80  Deny`,
	},
}
