package engine_test

import (
	"math"
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// namedStates are states of a small cluster, each one step of a story: what
// comes, what changes, what goes. TestStates runs them in many orders.
func namedStates() []state {
	tcp, icmp := policy.TCP, policy.ICMP
	echo := uint8(8)
	ports := func(names []string, ranges ...policy.PortRange) *policy.Ports {
		return &policy.Ports{Names: names, Ranges: ranges}
	}
	entities := func(s string) *policy.PeerSet { return &policy.PeerSet{Selector: selector.MustParse(s)} }
	allow := func(from, to policy.Peer) policy.Rule {
		return policy.Rule{Action: policy.Allow, Protocol: &tcp, Source: from, Destination: to}
	}

	web := endpoint("web/web-1", "app=web", "10.0.0.1")
	app := endpoint("app/app-1", "app=app", "10.0.0.2 fd00::2")
	db := endpoint("app/db-1", "app=db", "10.0.0.3 fd00::3")
	db.Ports = []policy.NamedPort{{Name: "sql", Protocol: policy.TCP, Port: 5432}}
	other := *db
	other.Ports = []policy.NamedPort{{Name: "sql", Protocol: policy.TCP, Port: 5433}}
	moved := *app
	moved.Addrs = addrs("10.0.1.2")
	relabelled := endpoint("app/app-1", "app=db", "10.0.0.2 fd00::2")
	twin := endpoint("app/app-2", "app=app", "10.0.0.4")
	squatter := endpoint("web/aaa", "app=squatter", "10.0.0.2")
	bare := endpoint("hosts/vm", "app=web", "10.0.9.9")
	bare.Profiles = nil

	deny := rulesPolicy("default", "deny-all", math.Inf(1), "all()", nil, nil)
	webToApp := rulesPolicy("default", "web-to-app", 100, "app == 'app'", nil,
		[]policy.Rule{allow(policy.Peer{Set: entities("app == 'web'")}, policy.Peer{Ports: ports(nil, policy.PortRange{First: 80, Last: 90})})})
	toSQL := rulesPolicy("default", "to-sql", 100, "app == 'db'", nil,
		[]policy.Rule{allow(policy.Peer{NotSet: entities("app == 'web'")}, policy.Peer{Ports: ports([]string{"sql"})})})
	clients := rulesPolicy("default", "clients", 50, "app in {'web', 'app'}", []policy.Rule{
		{Action: policy.Log},
		allow(policy.Peer{}, policy.Peer{Ports: ports([]string{"sql"})}),
		{Action: policy.Allow, Protocol: &icmp, ICMP: &policy.ICMPMatch{Type: &echo}},
		{Index: 3, Action: policy.Allow, Destination: policy.Peer{Nets: nets("0.0.0.0/0"), NotNets: nets("10.0.0.0/8 192.0.2.0/24")}},
	}, nil)
	threats := rulesPolicy("security", "threats", 1, "all()",
		[]policy.Rule{{Action: policy.Deny, Destination: policy.Peer{Set: entities("feed == 'bad'")}}, {Index: 1, Action: policy.Pass}}, nil)
	orphan := rulesPolicy("missing", "orphan", 1, "all()", []policy.Rule{{Action: policy.Deny}}, []policy.Rule{{Action: policy.Deny}})

	security := &policy.Tier{Name: "security", Order: 10, DefaultAction: policy.Deny}
	passing := &policy.Tier{Name: "security", Order: 10, DefaultAction: policy.Pass}
	last := &policy.Tier{Name: "security", Order: math.Inf(1), DefaultAction: policy.Deny}
	missing := &policy.Tier{Name: "missing", Order: 5, DefaultAction: policy.Pass}
	feed := set("bad", "feed=bad", "192.0.2.0/24 198.51.100.7/32")
	wider := set("bad", "feed=bad", "192.0.0.0/16 198.51.100.7/32 2001:db8::/32")
	over := set("worse", "feed=bad", "192.0.2.128/25 10.0.0.2/32")
	quiet := set("bad", "feed=none", "192.0.2.0/24")

	return []state{
		{"endpoints only", model(web, app, db)},
		{"deny all", model(web, app, db, deny)},
		{"web may reach app", model(web, app, db, deny, webToApp)},
		{"another app", model(web, app, twin, db, deny, webToApp)},
		{"the first app gone", model(web, twin, db, deny, webToApp)},
		{"app becomes a db", model(web, relabelled, db, deny, webToApp)},
		{"named ports", model(web, app, db, deny, webToApp, toSQL, clients)},
		{"the port of the name changes", model(web, app, &other, deny, webToApp, toSQL, clients)},
		{"two hold one address", model(web, app, squatter, db, deny, webToApp, toSQL, clients)},
		{"handed over", model(web, squatter, &moved, db, deny, webToApp, toSQL, clients)},
		{"app moves back", model(web, app, db, deny, webToApp, toSQL, clients)},
		{"a policy without its tier", model(web, app, db, clients, orphan)},
		{"the tier comes", model(web, app, db, clients, orphan, missing)},
		{"threats, no set", model(web, app, db, clients, security, threats)},
		{"threats", model(web, app, db, clients, security, threats, feed)},
		{"the set grows", model(web, app, db, clients, security, threats, wider)},
		{"another set overlaps, and holds a pod", model(web, app, db, clients, security, threats, wider, over)},
		{"the set is relabelled", model(web, app, db, clients, security, threats, quiet, over)},
		{"the tier ends in Pass", model(web, app, db, clients, passing, threats, feed)},
		{"the tier is last", model(web, app, db, deny, clients, last, threats, feed)},
		{"a host without profile", model(web, bare, clients, passing, threats, feed)},
		{"policies only", model(deny, clients, webToApp, security, threats, feed)},
	}
}

// model puts objects together, with the fixed tiers.
func model(objects ...policy.Object) *policy.Model {
	m := &policy.Model{Tiers: policy.FixedTiers()}
	for _, o := range objects {
		switch o := o.(type) {
		case *policy.Tier:
			m.Tiers = append(m.Tiers, o)
		case *policy.Policy:
			m.Policies = append(m.Policies, o)
		case *policy.Endpoint:
			m.Endpoints = append(m.Endpoints, o)
		case *policy.Set:
			m.Sets = append(m.Sets, o)
		}
	}
	return m
}

// endpoint makes a pod of "namespace/name", "key=value …" and addresses.
func endpoint(name, labels, addresses string) *policy.Endpoint {
	ns, name, _ := strings.Cut(name, "/")
	return &policy.Endpoint{
		Key:       policy.Key{Kind: policy.KindPod, Namespace: ns, Name: name},
		Interface: "tw-" + name,
		Addrs:     addrs(addresses),
		Labels:    labelsOf("projectcalico.org/namespace=" + ns + " " + labels),
		Profiles:  []string{"kns." + ns},
	}
}

func set(name, labels, prefixes string) *policy.Set {
	return &policy.Set{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: name}, Labels: labelsOf(labels), Nets: nets(prefixes)}
}

func rulesPolicy(tier, name string, order float64, selects string, egress, ingress []policy.Rule) *policy.Policy {
	p := &policy.Policy{
		Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: name}, Tier: tier, Order: order,
		Selector: selector.MustParse(selects), Types: [2]bool{egress != nil, ingress != nil}, Rules: [2][]policy.Rule{egress, ingress},
	}
	if egress == nil && ingress == nil {
		p.Types = [2]bool{true, true}
	}
	return p
}

func labelsOf(text string) selector.Labels {
	m := map[string]string{}
	for _, word := range strings.Fields(text) {
		k, v, _ := strings.Cut(word, "=")
		m[k] = v
	}
	return selector.NewLabels(m)
}

func addrs(text string) (out []netip.Addr) {
	for _, word := range strings.Fields(text) {
		out = append(out, netip.MustParseAddr(word))
	}
	return out
}

func nets(text string) (out []netip.Prefix) {
	for _, word := range strings.Fields(text) {
		out = append(out, netip.MustParsePrefix(word))
	}
	return out
}
