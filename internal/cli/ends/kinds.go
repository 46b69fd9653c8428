package ends

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// workloadKinds are the kinds an endpoint may have, with what people write for
// them, in lower case.
var workloadKinds = map[string]string{
	"pod": "Pod", "pods": "Pod", "po": "Pod",
	"deployment": "Deployment", "deployments": "Deployment", "deploy": "Deployment",
	"statefulset": "StatefulSet", "statefulsets": "StatefulSet", "sts": "StatefulSet",
	"daemonset": "DaemonSet", "daemonsets": "DaemonSet", "ds": "DaemonSet",
	"replicaset": "ReplicaSet", "replicasets": "ReplicaSet", "rs": "ReplicaSet",
	"job": "Job", "jobs": "Job",
	"cronjob": "CronJob", "cronjobs": "CronJob", "cj": "CronJob",
	"workloadendpoint": "WorkloadEndpoint", "workloadendpoints": "WorkloadEndpoint", "wep": "WorkloadEndpoint",
}

// KindOf returns the kind that a word stands for: one of Kubernetes' workloads, or
// whatever kind owns pods here.
func KindOf(m *policy.Model, word string) (string, bool) {
	if kind, ok := workloadKinds[strings.ToLower(word)]; ok {
		return kind, true
	}
	for _, ep := range m.Endpoints {
		if strings.EqualFold(ep.Owner.Kind, word) {
			return ep.Owner.Kind, true
		}
	}
	return "", false
}

// UnknownKindError says which kinds there are.
func UnknownKindError(kind string) error {
	var known []string
	for short, k := range workloadKinds {
		known = append(known, short, k)
	}
	slices.Sort(known)
	if strings.EqualFold(kind, "service") || strings.EqualFold(kind, "svc") {
		return fmt.Errorf("a Service is no endpoint, policy decides about the pods behind it: name one of those")
	}
	hint := suggest.DidYouMean(kind, known)
	if hint == "" {
		hint = ": expected Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob or WorkloadEndpoint"
	}
	return fmt.Errorf("unknown kind %q%s", kind, hint)
}
