package agent

import (
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/policy"
)

// decides reports whether the journal keeps an object: one on which verdicts on this
// host depend, and that can be invalid. Of workloads only those of this host are kept:
// the others are too many, and losing one opens nothing of ours. What Kubernetes
// itself makes, its API server has checked.
func (a *agent) decides(v model.View, key policy.Key) bool {
	info, _ := policy.LookupKind(key.Kind)
	switch {
	case !info.Decides, a.fromKube && info.Status == policy.NoStatus:
		return false
	case key.Kind == policy.KindPod, key.Kind == policy.KindWorkloadEndpoint:
		return v.Locals()[key] != nil
	}
	return true
}
