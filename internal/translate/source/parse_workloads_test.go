package source_test

// What has addresses that policy governs.
var parseWorkloads = []parseCase{
	{
		name: "Pod",
		manifest: `apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db, pcns.team: forged}, creationTimestamp: "2026-01-02T03:04:05Z"}
spec:
  nodeName: node-1
  serviceAccountName: api
  containers: [{name: c, image: i, ports: [{name: http, containerPort: 80}]}]
status: {hostIP: 192.0.2.1, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
`,
		says: `Endpoint.Labels[].Key: app
Endpoint.Labels[].Value: db
Endpoint.Labels[].Key: own:pcns.team
Endpoint.Labels[].Value: forged
Endpoint.ServiceAccount: api
Endpoint.Orchestrator: k8s
Endpoint.Node: node-1
Endpoint.HostAddrs[]: 192.0.2.1
Endpoint.Addrs[]: 10.0.0.1
Endpoint.Addrs[]: fd00::1
Endpoint.Ports[].Name: http
Endpoint.Ports[].Protocol: TCP
Endpoint.Ports[].Port: 80
Endpoint.Profiles[]: kns.shop
Endpoint.Precedence: 789015845
`,
	},
	{
		name: "a pod of its node",
		manifest: `apiVersion: v1
kind: Pod
metadata: {name: proxy, namespace: shop}
spec: {nodeName: node-1, hostNetwork: true, containers: [{name: c, image: i}]}
status: {hostIP: 192.0.2.1, podIP: 192.0.2.1}
`,
		says: `Endpoint.Node: node-1
Endpoint.HostAddrs[]: 192.0.2.1
Endpoint.Unmanaged: uses its node's network
`,
	},
	{
		name: "a pod of its node: what is wrong",
		manifest: `apiVersion: v1
kind: Pod
metadata: {name: db, namespace: sh.op, labels: {app: "a b"}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.300}
`,
		wrong: `3: metadata.labels.app: "a b" is no valid value of a label: expected letters, digits, '-', '_' and '.', starting and ending with a letter or digit, at most 63
3: metadata.namespace: "sh.op" is no valid name of a namespace: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63
5: status.podIP: "10.0.0.300" is no address: expected one such as "192.0.2.1" or "192.0.2.1/32"
`,
	},
	{
		name: "WorkloadEndpoint",
		manifest: `apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: vm-1, namespace: shop, labels: {app: vm}}
spec: {node: node-1, interfaceName: tap1, orchestrator: openstack, workload: vm, endpoint: eth0, ipNetworks: [10.0.0.9/32], profiles: [open], ports: [{name: ssh, protocol: TCP, port: 22}]}
`,
		says: `Endpoint.Labels[].Key: app
Endpoint.Labels[].Value: vm
Endpoint.Orchestrator: openstack
Endpoint.Node: node-1
Endpoint.Interface: tap1
Endpoint.Addrs[]: 10.0.0.9
Endpoint.Ports[].Name: ssh
Endpoint.Ports[].Protocol: TCP
Endpoint.Ports[].Port: 22
Endpoint.Profiles[]: open
`,
	},
	{
		name: "WorkloadEndpoint: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: vm-1, namespace: shop}
spec: {ipNetworks: [10.0.0.0/24], ports: [{name: ssh, protocol: ICMP, port: 22}]}
`,
		wrong: `4: spec.ipNetworks[0]: "10.0.0.0/24" holds more than one address: expected a single one, such as "10.0.0.0/32"
4: spec.node: is missing: expected the name of the host that the workload runs on
4: spec.ports[0].protocol: "ICMP" has no ports: expected TCP, UDP or SCTP
`,
	},
	{
		name: "HostEndpoint",
		manifest: `apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: node-1-eth0, labels: {role: edge}}
spec: {node: node-1, interfaceName: eth0, expectedIPs: [192.0.2.1], profiles: [allow]}
`,
		says: `HostEndpoint.Endpoint.Key.Kind: HostEndpoint
HostEndpoint.Endpoint.Key.Name: node-1-eth0
HostEndpoint.Endpoint.Node: node-1
HostEndpoint.Endpoint.Interface: eth0
HostEndpoint.Endpoint.Addrs[]: 192.0.2.1
HostEndpoint.Endpoint.Labels[].Key: role
HostEndpoint.Endpoint.Labels[].Value: edge
HostEndpoint.Endpoint.Profiles[]: allow
HostEndpoint.Endpoint.Precedence: 1
HostEndpoint.Endpoint.Host.Expected[]: 192.0.2.1
`,
	},
	{
		name: "Profile",
		manifest: `apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: web}
spec: {labelsToApply: {role: web}, ingress: [{action: Allow, protocol: TCP}], egress: [{action: Pass}]}
`,
		says: `Policy.Key.Kind: Profile
Policy.Key.Name: web
Policy.Selector: !all()
Policy.Types[egress]: true
Policy.Types[ingress]: true
Policy.Rules[egress]: 1 elements
Policy.Rules[][].Action: Pass
Policy.Rules[ingress]: 1 elements
Policy.Rules[][].Action: Allow
Policy.Rules[][].Protocol: =TCP
Profile.Labels[].Key: role
Profile.Labels[].Value: web
`,
	},
	{
		name: "Profile: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: Web}
spec: {labelsToApply: {role: "a b"}, egress: [{action: Next}]}
`,
		wrong: `3: metadata.name: "Web" is no valid name: expected lower case letters, digits, '-' and '.', starting and ending with a letter or digit, at most 253
4: spec.egress[0].action: "Next": expected Allow, Deny, Log or Pass
4: spec.labelsToApply.role: "a b" is no valid value of a label: expected letters, digits, '-', '_' and '.', starting and ending with a letter or digit, at most 63
`,
	},
	{
		name: "HostEndpoint: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: node-1-eth0}
spec: {interfaceName: "eth*", expectedIPs: [192.0.2.0/24]}
`,
		wrong: `4: spec.expectedIPs[0]: "192.0.2.0/24" holds more than one address: expected a single one, such as "192.0.2.0/32"
4: spec.interfaceName: "eth*" is no pattern that is known here: expected the name of one interface, or "*" for all
4: spec.node: is missing: expected the name of the host
`,
	},
	{
		name: "Deployment",
		manifest: `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i}]}
`,
		says: `Endpoint.Labels[].Key: app
Endpoint.Labels[].Value: web
Endpoint.ServiceAccount: default
Endpoint.Orchestrator: k8s
Endpoint.Profiles[]: kns.shop
Endpoint.IsTemplate: true
`,
	},
	{
		name: "Deployment: what is wrong",
		manifest: `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: "a b"}}
    spec: {containers: [{name: c, image: i}]}
`,
		wrong: `7: spec.template.metadata.labels.app: "a b" is no valid value of a label: expected letters, digits, '-', '_' and '.', starting and ending with a letter or digit, at most 63
`,
	},
	{
		name: "ReplicaSet that nothing is left of",
		manifest: `apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-abc
  namespace: shop
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, pod-template-hash: abc}}
    spec: {containers: [{name: c, image: i}]}
`,
		says: `Endpoint.Controller.Kind: Deployment
Endpoint.Controller.Namespace: shop
Endpoint.Controller.Name: web
Endpoint.TemplateHash: abc
Endpoint.Unmanaged: is scaled to zero
`,
	},
	{
		name: "StatefulSet",
		manifest: `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {serviceAccountName: db, containers: [{name: c, image: i}]}
`,
		says: `Endpoint.Labels[].Key: app
Endpoint.Labels[].Value: db
Endpoint.ServiceAccount: db
Endpoint.Orchestrator: k8s
Endpoint.Profiles[]: kns.shop
Endpoint.IsTemplate: true
`,
	},
	{
		name: "DaemonSet of nodes",
		manifest: `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {hostNetwork: true, containers: [{name: c, image: i}]}
`,
		says: `Endpoint.Unmanaged: uses its node's network
`,
	},
	{
		name: "Job",
		manifest: `apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec:
  template:
    metadata: {labels: {app: once}}
    spec: {restartPolicy: Never, containers: [{name: c, image: i}]}
`,
		says: `Endpoint.Labels[].Key: app
Endpoint.Labels[].Value: once
Endpoint.ServiceAccount: default
Endpoint.Orchestrator: k8s
Endpoint.Profiles[]: kns.shop
Endpoint.IsTemplate: true
`,
	},
	{
		name: "CronJob",
		manifest: `apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: nightly}}
        spec: {restartPolicy: Never, containers: [{name: c, image: i}]}
`,
		says: `Endpoint.Labels[].Key: app
Endpoint.Labels[].Value: nightly
Endpoint.ServiceAccount: default
Endpoint.Orchestrator: k8s
Endpoint.Profiles[]: kns.shop
Endpoint.IsTemplate: true
`,
	},
	{
		name: "CronJob: what is wrong",
		manifest: `apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {"": nightly}}
        spec: {restartPolicy: Never, containers: [{name: c, image: i}]}
`,
		wrong: `9: spec.jobTemplate.spec.template.metadata.labels.: "" is no valid label: expected a name, or a DNS name, '/' and a name; a name has letters, digits, '-', '_' and '.', starts and ends with a letter or digit, at most 63
`,
	},
}
