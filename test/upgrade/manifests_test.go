package upgrade

// manifests are files of a store: policies of two tiers for two pods, one that
// names a domain, and the host itself. web.yaml stays valid; the others get typos.
var manifests = map[string]string{
	"pods.yaml": `apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: web, namespace: prod, labels: {app: web}}
spec: {node: node-1, interfaceName: to-web, ipNetworks: [10.66.0.2/32], orchestrator: k8s}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: db, namespace: prod, labels: {app: db}}
spec: {node: node-1, interfaceName: to-db, ipNetworks: [10.66.0.3/32], orchestrator: k8s}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
`,
	"db.yaml": `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: security.db, namespace: prod}
spec:
  tier: security
  selector: app == 'db'
  types: [Ingress, Egress]
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [5432]}}
  - {action: Allow, protocol: UDP, source: {selector: app == 'web'}, destination: {ports: [5432]}}
`,
	"web.yaml": `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: prod}
spec:
  selector: app == 'web'
  types: [Ingress, Egress]
  egress:
  - {action: Allow, protocol: UDP, destination: {nets: [192.0.2.53/32], ports: [53]}}
  - {action: Allow, destination: {selector: app == 'db'}}
  - {action: Allow, protocol: TCP, destination: {domains: [www.example.com], ports: [443]}}
`,
	"host.yaml": `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: host}
spec:
  selector: has(host)
  types: [Ingress]
  ingress:
  - {action: Allow, protocol: TCP, source: {nets: [198.51.100.0/24]}, destination: {ports: [8443]}}
`,
	"endpoint.yaml": `apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: node-1-all, labels: {host: node-1}}
spec: {node: node-1, interfaceName: "*", expectedIPs: [172.31.255.1]}
`,
}
