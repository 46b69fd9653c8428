package ends

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// workloadKinds are the kinds an endpoint may have, by what people write for them, in
// lower case.
var workloadKinds = func() map[string]string {
	words := map[string]string{}
	for _, k := range policy.Kinds() {
		if k.Role != policy.RoleWorkload && k.Role != policy.RoleEndpoint || k.Key == policy.KindHostEndpoint {
			continue
		}
		for _, word := range append([]string{strings.ToLower(k.Name), k.Resource}, k.ShortNames...) {
			words[word] = k.Key
		}
	}
	return words
}()

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
	if isServiceWord(kind) {
		return fmt.Errorf("a Service is no endpoint, policy decides about the pods behind it: name one of those")
	}
	hint := suggest.DidYouMean(kind, known)
	if hint == "" {
		hint = ": expected Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob or WorkloadEndpoint"
	}
	return fmt.Errorf("unknown kind %q%s", kind, hint)
}
