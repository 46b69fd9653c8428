package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// hostHooks says at which hooks host endpoints govern.
type hostHooks map[policy.Hook]bool

// hostHooksOf finds the hooks that must be there.
func hostHooksOf(s *dataplane.State, settings *dataplane.HostSettings) hostHooks {
	hooks := hostHooks{}
	for _, p := range s.Attachments() {
		if p.Governs() {
			hooks[p.Hook] = true
		}
	}
	if settings.EndpointToHost == policy.Deny {
		hooks[policy.HookInput] = true
	}
	return hooks
}

// skips reports whether some hook lets packets skip what follows.
func (h hostHooks) skips() bool {
	return h[policy.HookRawIn] || h[policy.HookRawOut] || h[policy.HookPreDNAT]
}
