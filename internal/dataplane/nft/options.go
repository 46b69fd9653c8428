package nft

import (
	"cmp"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// withHost gives settings as they are used.
func withDefaults(s dataplane.HostSettings) dataplane.HostSettings {
	s.Mark = cmp.Or(s.Mark, dataplane.DefaultMark)
	return s
}
