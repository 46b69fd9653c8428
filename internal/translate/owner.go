package translate

import (
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// owner gives the workload that an endpoint belongs to in the end: a pod of a
// ReplicaSet of a Deployment belongs to the Deployment. It is zero for an
// endpoint that nothing manages.
func (t *Translator) owner(e *endpoint) policy.Key {
	key := e.controller
	// A chain is at most CronJob, Job, pod; more would be a cycle.
	for range 4 {
		above, known := t.controllerOf(key)
		if known && above == (policy.Key{}) {
			return key
		}
		if !known {
			return t.guessOwner(key, e.hash)
		}
		key = above
	}
	return key
}

// controllerOf gives what manages a workload, and whether the workload is known.
func (t *Translator) controllerOf(key policy.Key) (policy.Key, bool) {
	if o := t.objects[key]; o != nil && o.parsed.endpoint != nil {
		return o.parsed.endpoint.controller, true
	}
	return policy.Key{}, false
}

// guessOwner gives what manages a workload that is not among the objects: its
// name tells, if its manager made it up.
func (t *Translator) guessOwner(key policy.Key, hash string) policy.Key {
	switch key.Kind {
	case kindReplicaSet:
		// A Deployment calls its ReplicaSets NAME-HASH and labels their pods so.
		if name, found := strings.CutSuffix(key.Name, "-"+hash); found && hash != "" && name != "" {
			return policy.Key{Kind: kindDeployment, Namespace: key.Namespace, Name: name}
		}
	case kindJob:
		// A CronJob calls its Jobs NAME-TIME, but so may a person: ask for the CronJob.
		if dash := strings.LastIndexByte(key.Name, '-'); dash > 0 {
			cronJob := policy.Key{Kind: kindCronJob, Namespace: key.Namespace, Name: key.Name[:dash]}
			_, known := t.controllerOf(cronJob)
			if known && strings.Trim(key.Name[dash+1:], "0123456789") == "" {
				return cronJob
			}
		}
	}
	return key
}
