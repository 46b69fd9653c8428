package nft

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// Options choose where a dataplane acts. The zero value acts on table
// "tierwall" in the caller's network namespace.
type Options struct {
	Table string
	// NetNS is a file that stands for a network namespace, such as
	// /run/netns/NAME; empty is the caller's.
	NetNS  string
	Logger *slog.Logger // nil: slog.Default
	// KeepConnections leaves connections alone that a change denies. Otherwise
	// they are cut, see package conntrack.
	KeepConnections bool
	// CutLater leaves the connections that an Apply denies to the next Cut.
	CutLater bool
	Logging  Logging
	// Host is what is in force at host endpoints beside their policies.
	Host dataplane.HostSettings
	// Guards say what is dropped before policy is asked.
	Guards dataplane.GuardSettings
	// Changes listens to changes of the tables, in the same network namespace; nil: nobody does.
	Changes *ChangeListener
}

// DefaultTable is the name of the table unless Options name another.
const DefaultTable = "tierwall"

func (o Options) table() codec.TableID {
	if o.Table == "" {
		return inet(DefaultTable)
	}
	return inet(o.Table)
}

func dial(o Options) (*nfnl.Conn, error) {
	conn, err := nfnl.Dial(o.NetNS)
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	return conn, nil
}

// withHost gives settings as they are used.
func withDefaults(s dataplane.HostSettings) dataplane.HostSettings {
	s.Mark = cmp.Or(s.Mark, dataplane.DefaultMark)
	return s
}
