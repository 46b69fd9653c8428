package demo

import (
	"fmt"
	"log/slog"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// newDataplane opens the kernel's tables of the lab's node.
func newDataplane(node *lab.Host) (dataplane.Dataplane, error) {
	return nft.New(nft.Options{
		NetNS:  fmt.Sprintf("/proc/self/fd/%d", node.FD()),
		Logger: slog.New(slog.DiscardHandler), // what goes wrong is in the report
		Host:   dataplane.HostSettings{HostSettings: hostSettings()},
	})
}

// hostSettings are those of an agent without flags, in a cluster.
func hostSettings() policy.HostSettings {
	var s policy.HostSettings
	s.FailsafeIn, s.FailsafeOut = policy.DefaultFailsafes()
	return s
}
