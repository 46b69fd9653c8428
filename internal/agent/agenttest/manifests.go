// Package agenttest has what tests of the agent and of its components share.
package agenttest

// Cluster is two pods: db, which is on node here, and web, which is not.
const Cluster = `
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: here, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: there, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.2}
`

// AllowPort returns a policy that opens one port of db.
func AllowPort(port string) string {
	return `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: app == 'db'
  ingress:
    - {action: Allow, protocol: TCP, destination: {ports: [` + port + `]}}
`
}
