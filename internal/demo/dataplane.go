package demo

import (
	"fmt"
	"log/slog"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/lab"
)

// newDataplane opens the kernel's tables of the lab's node.
func newDataplane(node *lab.Host) (dataplane.Dataplane, error) {
	return nft.New(nft.Options{
		NetNS:  fmt.Sprintf("/proc/self/fd/%d", node.FD()),
		Logger: slog.New(slog.DiscardHandler), // what goes wrong is in the report
	})
}
