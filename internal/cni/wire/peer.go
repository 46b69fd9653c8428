package wire

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// CheckPeer refuses a process at the other end of a unix socket that runs neither as root nor
// as the user of this process. The kernel has noted who it was when it connected or
// began to listen.
func CheckPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	if failed != nil {
		return fmt.Errorf("peer: %w", failed)
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("peer: process %d is of user %d: expected root", peer.Pid, peer.Uid)
	}
	return nil
}
