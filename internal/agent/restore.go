package agent

import (
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/policy"
)

// decides reports whether the journal keeps an object: what decides on this
// host, and can be invalid. Remote endpoints are too many, and losing one opens
// nothing of ours; what else a cluster has, its API server has checked.
func (a *agent) decides(v model.View, key policy.Key) bool {
	switch {
	case isPolicyKind(key.Kind):
		return true
	case a.fromKube:
		return false
	}
	return key.Kind == "Namespace" || key.Kind == "ServiceAccount" || v.Locals()[key] != nil
}
