package agent

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
)

// OpenKernel returns what opens the tables of this network namespace. Who listens to
// changes of them, if anybody, is not told of the large ones that are made here.
func OpenKernel(log *slog.Logger, logging nft.Logging, host dataplane.HostSettings, guards dataplane.GuardSettings, changes *nft.ChangeListener) func() (dataplane.Dataplane, error) {
	return func() (dataplane.Dataplane, error) {
		return nft.New(nft.Options{Logger: log, CutLater: true, Logging: logging, Host: host, Guards: guards, Changes: changes})
	}
}

// ReadBack reads what the kernel holds, whoever wrote it.
func ReadBack(ctx context.Context) (dataplane.FlowDecider, error) {
	k, err := nft.Read(ctx, nft.Options{})
	if err != nil {
		return nil, err
	}
	return readKernel{k}, nil
}

// readKernel is what this network namespace's kernel holds.
type readKernel struct{ *nft.Kernel }

// DNSQueueDifferences lists what the kernel's table for answers of DNS servers has otherwise
// than the rules would have it.
func (readKernel) DNSQueueDifferences(ctx context.Context, r dataplane.DNSQueueRules) ([]string, error) {
	return nft.CompareDNSQueue(ctx, nft.Options{}, r)
}

// ErrNotPrivileged says that this process may not program the kernel.
var ErrNotPrivileged = errors.New("the kernel's tables need root (CAP_NET_ADMIN): run it with sudo; tierwall demo works without")

// Privileged reports whether this process may program the kernel's tables: nil
// or ErrNotPrivileged.
func Privileged() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return ErrNotPrivileged
	}
	return nil
}
