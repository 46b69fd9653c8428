package translate

import (
	"strings"

	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// objectTable holds what is known of all keys but those of pods and WorkloadEndpoints.
type objectTable map[policy.Key]*object

// owner returns the workload that something which a controller manages belongs to
// in the end: a pod of a ReplicaSet of a Deployment belongs to the Deployment.
func (t objectTable) owner(controller policy.Key, hash string) policy.Key {
	key := controller
	// A chain is at most CronJob, Job, pod; more would be a cycle.
	for range 4 {
		above, known := t.controllerOf(key)
		if known && above == (policy.Key{}) {
			return key
		}
		if !known {
			return t.guessOwner(key, hash)
		}
		key = above
	}
	return key
}

// controllerOf returns what manages a workload, and whether the workload is known.
func (t objectTable) controllerOf(key policy.Key) (policy.Key, bool) {
	if o := t[key]; o != nil {
		if e, ok := o.parsed.(*source.Endpoint); ok {
			return e.Controller, true
		}
	}
	return policy.Key{}, false
}

// guessOwner returns what manages a workload that is not among the objects: its
// name tells, if its manager made it up.
func (t objectTable) guessOwner(key policy.Key, hash string) policy.Key {
	switch key.Kind {
	case source.KindReplicaSet:
		// A Deployment calls its ReplicaSets NAME-HASH and labels their pods so.
		if name, found := strings.CutSuffix(key.Name, "-"+hash); found && hash != "" && name != "" {
			return policy.Key{Kind: source.KindDeployment, Namespace: key.Namespace, Name: name}
		}
	case source.KindJob:
		// A CronJob calls its Jobs NAME-TIME, but so may a person: ask for the CronJob.
		if dash := strings.LastIndexByte(key.Name, '-'); dash > 0 {
			cronJob := policy.Key{Kind: source.KindCronJob, Namespace: key.Namespace, Name: key.Name[:dash]}
			_, known := t.controllerOf(cronJob)
			if known && strings.Trim(key.Name[dash+1:], "0123456789") == "" {
				return cronJob
			}
		}
	}
	return key
}
