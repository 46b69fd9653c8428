package modeltest

import (
	"fmt"
	"math/rand/v2"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// ClusterSize says how large a cluster is. The system namespaces come on top.
type ClusterSize struct {
	Namespaces  int // of applications
	Workloads   int // in each namespace
	Replicas    int // of each workload
	PodsPerNode int // 0: 110
}

// The parts that an application's workloads have, and the port each listens on.
var parts = []struct {
	name string
	port uint16
}{{"web", 8080}, {"api", 8443}, {"worker", 9000}, {"cache", 6379}, {"db", 5432}, {"queue", 5672}}

var teams = []string{"payments", "search", "media", "internal"}

// cluster is a builder of a production-shaped cluster.
type cluster struct {
	*builder
	rnd   *rand.Rand
	size  ClusterSize
	names []string // of the applications' namespaces
}

// Cluster makes a model shaped like production, the same for equal parameters:
//
//   - tiers security, platform and application before Kubernetes' policies;
//   - security: threat feeds and the metadata service denied, as network sets;
//   - platform: DNS to kube-system, scrapes by monitoring, the ingress
//     controllers to what is exposed;
//   - application: each team's namespaces to the shared services of the team;
//   - default: a default deny in each namespace and, for each workload, who may
//     reach it, from its own and some other namespaces, and some egress to
//     partners' CIDRs with exceptions.
func Cluster(seed uint64, size ClusterSize) *policy.Model {
	c := &cluster{
		builder: newBuilder("security", "platform", "application"),
		rnd:     rand.New(rand.NewPCG(seed, 0x7469657277616c6c)),
		size:    size,
	}
	c.system()
	c.security()
	c.platform()
	for i := range size.Namespaces {
		c.names = append(c.names, fmt.Sprintf("app-%03d", i))
	}
	for i, ns := range c.names {
		c.namespace(ns, teams[i%len(teams)])
	}
	c.application()
	c.schedule()
	return &c.model
}

// workload adds the pods of a Deployment.
func (c *cluster) workload(ns, name string, replicas int, nsl map[string]string, port policy.NamedPort, own ...string) {
	owner := policy.Key{Kind: "Deployment", Namespace: ns, Name: name}
	labels := podLabels(nsl, append([]string{"app", name}, own...)...)
	for i := range replicas {
		c.pod(ns, fmt.Sprintf("%s-%d", name, i), owner, labels, port)
	}
}

func (c *cluster) system() {
	kube := nsLabels("kube-system", map[string]string{"kind": "system"})
	c.workload("kube-system", "coredns", 2, kube, policy.NamedPort{Name: "dns", Protocol: policy.UDP, Port: 53}, "k8s-app", "kube-dns")
	c.workload("kube-system", "metrics-server", 1, kube, policy.NamedPort{Name: "https", Protocol: policy.TCP, Port: 10250})
	mon := nsLabels("monitoring", map[string]string{"kind": "system"})
	c.workload("monitoring", "prometheus", 2, mon, policy.NamedPort{Name: "http", Protocol: policy.TCP, Port: 9090}, "role", "scraper")
	ing := nsLabels("ingress", map[string]string{"kind": "edge"})
	c.workload("ingress", "nginx", 2, ing, policy.NamedPort{Name: "https", Protocol: policy.TCP, Port: 443}, "role", "edge")
}

func (c *cluster) security() {
	threats := selector.NewLabels(map[string]string{"feed": "threats"})
	for i := range 3 {
		s := &policy.Set{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: fmt.Sprintf("threats-%d", i)}, Labels: threats}
		for range 20 {
			s.Nets = append(s.Nets, prefixes(fmt.Sprintf("%d.%d.%d.0/24", 100+c.rnd.IntN(20), c.rnd.IntN(256), c.rnd.IntN(256)))...)
		}
		c.model.Sets = append(c.model.Sets, s)
	}
	p := global("security", "deny-threats", 10, selector.All())
	feed := &policy.PeerSet{Selector: selector.Equals("feed", "threats")}
	p.Rules[policy.Egress] = []policy.Rule{{Action: policy.Deny, Destination: policy.Peer{Set: feed}}}
	p.Rules[policy.Ingress] = []policy.Rule{{Action: policy.Deny, Source: policy.Peer{Set: feed}}}
	c.add(p)
	p = global("security", "deny-metadata", 20, selector.NotEquals("pcns.kind", "system"))
	p.Rules[policy.Egress] = []policy.Rule{{Action: policy.Deny, Destination: policy.Peer{Nets: prefixes("169.254.169.254/32")}}}
	c.add(p)
}

func (c *cluster) platform() {
	dns := selector.And(selector.Equals(namespaceKey, "kube-system"), selector.Equals("k8s-app", "kube-dns"))
	p := global("platform", "dns", 10, selector.All())
	p.Rules[policy.Egress] = []policy.Rule{
		to(rule(policy.Allow, policy.UDP, 53), dns), to(rule(policy.Allow, policy.TCP, 53), dns), {Action: policy.Pass},
	}
	c.add(p)
	p = global("platform", "dns-server", 10, dns)
	p.Rules[policy.Ingress] = []policy.Rule{
		from(rule(policy.Allow, policy.UDP, 53), selector.All()), from(rule(policy.Allow, policy.TCP, 53), selector.All()), {Action: policy.Pass},
	}
	c.add(p)
	p = global("platform", "scrapes", 20, selector.Has("app"))
	scrape := rule(policy.Allow, policy.TCP, 9102)
	p.Rules[policy.Ingress] = []policy.Rule{from(scrape, selector.MustParse("role == 'scraper' && pcns.kind == 'system'")), {Action: policy.Pass}}
	c.add(p)
	p = global("platform", "edge", 30, selector.Equals("exposed", "true"))
	edge := policy.Rule{Action: policy.Allow, Protocol: ref(policy.TCP)}
	edge.Destination.Ports = &policy.Ports{Names: []string{"main"}}
	p.Rules[policy.Ingress] = []policy.Rule{from(edge, selector.Equals("role", "edge")), {Action: policy.Pass}}
	c.add(p)
}

// namespace adds an application: its workloads and their policies.
func (c *cluster) namespace(ns, team string) {
	nsl := nsLabels(ns, map[string]string{"team": team, "kind": "app"})
	c.add(kubernetes(ns, "default-deny", selector.All()), policy.Egress, policy.Ingress)
	for i := range c.size.Workloads {
		part := parts[i%len(parts)]
		name := fmt.Sprintf("%s-%d", part.name, i)
		own := []string{"part", part.name}
		if part.name == "web" {
			own = append(own, "exposed", "true")
		}
		if part.name == "api" && c.rnd.IntN(3) == 0 {
			own = append(own, "shared", "true")
		}
		c.workload(ns, name, c.size.Replicas, nsl, policy.NamedPort{Name: "main", Protocol: policy.TCP, Port: part.port}, own...)
		c.workloadPolicy(ns, name, i)
	}
}

// workloadPolicy lets the part before it reach a workload, and it the part after it.
func (c *cluster) workloadPolicy(ns, name string, i int) {
	part, before, after := parts[i%len(parts)], parts[(i+len(parts)-1)%len(parts)], parts[(i+1)%len(parts)]
	here := selector.Equals(namespaceKey, ns)
	p := kubernetes(ns, "allow-"+name, selector.Equals("app", name))
	p.Rules[policy.Ingress] = []policy.Rule{from(rule(policy.Allow, policy.TCP, part.port), selector.And(here, selector.Equals("part", before.name)))}
	p.Rules[policy.Egress] = []policy.Rule{to(rule(policy.Allow, policy.TCP, after.port), selector.And(here, selector.Equals("part", after.name)))}
	if c.rnd.IntN(4) == 0 { // another namespace's workers come as well
		other := selector.Equals(namespaceKey, c.names[c.rnd.IntN(len(c.names))])
		p.Rules[policy.Ingress] = append(p.Rules[policy.Ingress], from(rule(policy.Allow, policy.TCP, part.port, part.port+1), selector.And(other, selector.Equals("part", "worker"))))
	}
	if c.rnd.IntN(3) == 0 { // a partner outside, but for a part of its net
		r := rule(policy.Allow, policy.TCP, 443)
		n := c.rnd.IntN(8)
		r.Destination.Nets, r.Destination.NotNets = prefixes(fmt.Sprintf("203.0.%d.0/24", n)), prefixes(fmt.Sprintf("203.0.%d.128/28", n))
		p.Rules[policy.Egress] = append(p.Rules[policy.Egress], r)
	}
	c.add(p)
}

// application lets the namespaces of a team reach the team's shared services.
func (c *cluster) application() {
	for i, team := range teams {
		shared := selector.And(selector.Equals("pcns.team", team), selector.Equals("shared", "true"))
		p := global("application", team+"-shared", float64(10*i), shared)
		p.Rules[policy.Ingress] = []policy.Rule{from(rule(policy.Allow, policy.TCP, 8443), selector.Equals("pcns.team", team)), {Action: policy.Pass}}
		c.add(p)
		p = global("application", team+"-clients", float64(10*i+5), selector.Equals("pcns.team", team))
		p.Rules[policy.Egress] = []policy.Rule{to(rule(policy.Allow, policy.TCP, 8443), shared), {Action: policy.Pass}}
		c.add(p)
	}
}

// schedule puts the pods on nodes.
func (c *cluster) schedule() {
	perNode := c.size.PodsPerNode
	if perNode == 0 {
		perNode = 110
	}
	nodes := (len(c.model.Endpoints) + perNode - 1) / perNode
	for i, ep := range c.model.Endpoints {
		ep.Node = LocalNode
		if n := i % nodes; n > 0 {
			ep.Node = fmt.Sprintf("node-%04d", n)
		}
	}
}
