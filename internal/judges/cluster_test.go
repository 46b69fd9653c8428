package judges

import (
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/internal/lab"
)

// cluster is what every row begins with. No policy is in it.
const cluster = `
apiVersion: v1
kind: NamespaceList
items:
- metadata: {name: shop, labels: {team: red, env: prod}}
- metadata: {name: bank, labels: {team: blue, env: prod}}
- metadata: {name: lone}
---
apiVersion: v1
kind: ServiceAccountList
items:
- metadata: {name: front, namespace: shop, labels: {trust: high}}
- metadata: {name: store, namespace: shop, labels: {trust: low}}
- metadata: {name: front, namespace: bank, labels: {trust: low}}
---
apiVersion: v1
kind: NodeList
items:
- metadata: {name: node-1}
  status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: InternalIP, address: "fd00:a::1"}]}
- metadata: {name: node-2}
  status: {addresses: [{type: InternalIP, address: 192.0.2.2}, {type: InternalIP, address: "fd00:a::2"}]}
---
apiVersion: v1
kind: PodList
items:
- metadata: {name: web, namespace: shop, labels: {app: web, layer: front}}
  spec:
    nodeName: node-1
    serviceAccountName: front
    containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]
  status: {podIPs: [{ip: 10.65.1.1}, {ip: "fd00:65:1::1"}]}
- metadata: {name: db, namespace: shop, labels: {app: db, layer: back}}
  spec:
    nodeName: node-1
    serviceAccountName: store
    containers:
    - name: c
      ports:
      - {name: sql, containerPort: 5432}
      - {name: dns, containerPort: 5353, protocol: UDP}
      - {name: sig, containerPort: 2905, protocol: SCTP}
  status: {podIPs: [{ip: 10.65.1.2}, {ip: "fd00:65:1::2"}]}
- metadata: {name: api, namespace: bank, labels: {app: web, layer: middle}}
  spec:
    nodeName: node-1
    serviceAccountName: front
    containers: [{name: c, ports: [{name: http, containerPort: 9090}]}]
  status: {podIPs: [{ip: 10.65.2.1}, {ip: "fd00:65:2::1"}]}
- metadata: {name: vault, namespace: bank, labels: {app: db}}
  spec:
    nodeName: node-1
    containers: [{name: c, ports: [{name: sql, containerPort: 6432}, {name: dns, containerPort: 6353, protocol: UDP}]}]
  status: {podIPs: [{ip: 10.65.2.2}, {ip: "fd00:65:2::2"}]}
- metadata: {name: job, namespace: lone, labels: {app: job}}
  spec: {nodeName: node-1, containers: [{name: c}]}
  status: {podIPs: [{ip: 10.65.3.1}, {ip: "fd00:65:3::1"}]}
---
# A virtual machine: no profile decides for it.
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: vm, namespace: bank, labels: {app: vm}}
spec:
  node: node-1
  workload: vm
  ipNetworks: [10.65.9.1, "fd00:65:9::1"]
  ports: [{name: http, protocol: TCP, port: 7070}]
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: partners, namespace: shop, labels: {role: partner}}
spec: {nets: [203.0.113.0/28, "fd00:b:1::/64"]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: feeds, labels: {role: feed}}
spec: {nets: [198.51.100.20/32, "fd00:c:1::/64"]}
`

// The nodes, by the names of the model.
const (
	ownNode   = "node-1"
	otherNode = "node-2"
)

// addresses of all that flows can name, IPv4 and IPv6. The office is in the set
// partners and the world in feeds; nothing knows the stranger.
var addresses = map[string][2]netip.Addr{
	"web":      pair("10.65.1.1", "fd00:65:1::1"),
	"db":       pair("10.65.1.2", "fd00:65:1::2"),
	"api":      pair("10.65.2.1", "fd00:65:2::1"),
	"vault":    pair("10.65.2.2", "fd00:65:2::2"),
	"job":      pair("10.65.3.1", "fd00:65:3::1"),
	"vm":       pair("10.65.9.1", "fd00:65:9::1"),
	"office":   pair("203.0.113.10", "fd00:b:1::10"),
	"world":    pair("198.51.100.20", "fd00:c:1::20"),
	"stranger": pair("198.51.100.99", "fd00:c:9::99"),
	ownNode:    pair("192.0.2.1", "fd00:a::1"),
	otherNode:  pair("192.0.2.2", "fd00:a::2"),
}

func pair(v4, v6 string) [2]netip.Addr {
	return [2]netip.Addr{netip.MustParseAddr(v4), netip.MustParseAddr(v6)}
}

// linkTo names the node's interface towards a host.
func linkTo(host string) string { return "l-" + host }

// newLab builds the cluster out of network namespaces.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	lab.Require(t)
	node := addresses[ownNode]
	l, err := lab.New(lab.Config{Name: ownNode, Addrs: node[:]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for name, addrs := range addresses {
		if name == ownNode {
			continue
		}
		if _, err := l.AddHost(lab.HostConfig{Name: name, Addrs: addrs[:], Interface: linkTo(name)}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}
