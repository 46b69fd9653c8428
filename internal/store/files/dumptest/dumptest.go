// Package dumptest writes dumps of clusters as kubectl prints them, of any size: for tests
// and measurements.
package dumptest

import (
	"bufio"
	"fmt"
	"io"
)

// Dump says what is in a dump.
type Dump struct {
	Pods int
	JSON bool
}

// WriteTo writes a list of pods as "kubectl get pods -o yaml" (or json) prints it, of 50
// namespaces with 500 applications, and a policy for each namespace before them.
func (d Dump) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: bufio.NewWriterSize(w, 1<<20)}
	pod, policy := podYAML, policyYAML
	if d.JSON {
		pod, policy = podJSON, policyJSON
		out.printf("{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n")
	} else {
		out.printf("apiVersion: v1\nitems:\n")
	}
	for i := range namespaces {
		if d.JSON && i > 0 {
			out.printf(",\n")
		}
		out.printf(policy, i, i%10)
	}
	for i := range d.Pods {
		if d.JSON {
			out.printf(",\n")
		}
		out.printf(pod, i, i%500, i%namespaces, i>>16&255, i>>8&255, i&255, i%1000)
	}
	if d.JSON {
		out.printf("\n    ],\n    \"kind\": \"List\",\n    \"metadata\": {\"resourceVersion\": \"\"}\n}\n")
	} else {
		out.printf("kind: List\nmetadata:\n  resourceVersion: \"\"\n")
	}
	if out.err == nil {
		out.err = out.w.Flush()
	}
	return out.n, out.err
}

const namespaces = 50

type counter struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (c *counter) printf(format string, args ...any) {
	if c.err == nil {
		var n int
		n, c.err = fmt.Fprintf(c.w, format, args...)
		c.n += int64(n)
	}
}

const policyYAML = `- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata:
    name: p
    namespace: ns-%[1]d
  spec:
    podSelector: {}
    ingress:
    - from:
      - namespaceSelector:
          matchLabels:
            kubernetes.io/metadata.name: ns-%[2]d
    policyTypes:
    - Ingress
`

const policyJSON = `        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "ns-%[1]d"},
         "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ns-%[2]d"}}}]}]}}`

const podYAML = `- apiVersion: v1
  kind: Pod
  metadata:
    creationTimestamp: "2026-01-02T03:04:05Z"
    generateName: app-%[2]d-5d9c7b8f6-
    labels:
      app: app-%[2]d
      pod-template-hash: 5d9c7b8f6
      team: team-%[3]d
    name: app-%[2]d-5d9c7b8f6-%[1]d
    namespace: ns-%[3]d
    ownerReferences:
    - apiVersion: apps/v1
      blockOwnerDeletion: true
      controller: true
      kind: ReplicaSet
      name: app-%[2]d-5d9c7b8f6
      uid: 7d2c4c3e-0000-4000-8000-%012[2]d
    resourceVersion: "%[1]d"
    uid: 6d2c4c3e-0000-4000-8000-%012[1]d
  spec:
    containers:
    - env:
      - name: LOG_LEVEL
        value: info
      image: registry.example/app:1.2.3
      imagePullPolicy: IfNotPresent
      livenessProbe:
        failureThreshold: 3
        httpGet:
          path: /healthz
          port: http
          scheme: HTTP
        periodSeconds: 10
      name: app
      ports:
      - containerPort: 8080
        name: http
        protocol: TCP
      resources:
        limits:
          cpu: 500m
          memory: 512Mi
        requests:
          cpu: 100m
          memory: 128Mi
      terminationMessagePath: /dev/termination-log
      volumeMounts:
      - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
        name: kube-api-access
        readOnly: true
    dnsPolicy: ClusterFirst
    nodeName: node-%[7]d
    restartPolicy: Always
    serviceAccountName: default
    tolerations:
    - effect: NoExecute
      key: node.kubernetes.io/not-ready
      operator: Exists
      tolerationSeconds: 300
  status:
    conditions:
    - lastTransitionTime: "2026-01-02T03:04:15Z"
      status: "True"
      type: Ready
    hostIP: 192.168.0.1
    phase: Running
    podIP: 10.%[4]d.%[5]d.%[6]d
    podIPs:
    - ip: 10.%[4]d.%[5]d.%[6]d
    qosClass: Burstable
    startTime: "2026-01-02T03:04:05Z"
`

const podJSON = `        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "generateName": "app-%[2]d-5d9c7b8f6-",
                "labels": {"app": "app-%[2]d", "pod-template-hash": "5d9c7b8f6", "team": "team-%[3]d"},
                "name": "app-%[2]d-5d9c7b8f6-%[1]d",
                "namespace": "ns-%[3]d",
                "ownerReferences": [{"apiVersion": "apps/v1", "blockOwnerDeletion": true, "controller": true, "kind": "ReplicaSet", "name": "app-%[2]d-5d9c7b8f6", "uid": "7d2c4c3e-0000-4000-8000-%012[2]d"}],
                "resourceVersion": "%[1]d",
                "uid": "6d2c4c3e-0000-4000-8000-%012[1]d"
            },
            "spec": {
                "containers": [
                    {
                        "env": [{"name": "LOG_LEVEL", "value": "info"}],
                        "image": "registry.example/app:1.2.3",
                        "imagePullPolicy": "IfNotPresent",
                        "livenessProbe": {"failureThreshold": 3, "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10},
                        "name": "app",
                        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                        "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
                        "terminationMessagePath": "/dev/termination-log",
                        "volumeMounts": [{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access", "readOnly": true}]
                    }
                ],
                "dnsPolicy": "ClusterFirst",
                "nodeName": "node-%[7]d",
                "restartPolicy": "Always",
                "serviceAccountName": "default",
                "tolerations": [{"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300}]
            },
            "status": {
                "conditions": [{"lastTransitionTime": "2026-01-02T03:04:15Z", "status": "True", "type": "Ready"}],
                "hostIP": "192.168.0.1",
                "phase": "Running",
                "podIP": "10.%[4]d.%[5]d.%[6]d",
                "podIPs": [{"ip": "10.%[4]d.%[5]d.%[6]d"}],
                "qosClass": "Burstable",
                "startTime": "2026-01-02T03:04:05Z"
            }
        }`
