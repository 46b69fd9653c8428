package agent

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// hostSocket is the name, in the abstract namespace, that the one agent of a network namespace has.
// Other than files it does not depend on directories, which containers and flags may have of their own,
// and it goes with the process.
const hostSocket = "@tierwall-agent"

// errOtherAgent says that another agent writes the tables of this network namespace.
var errOtherAgent = errors.New("another agent runs on this host")

// lockHost takes the name, in the network namespace of the calling thread. Where somebody without
// our rights has it, nobody can be sure of anything by it: then it is left, and why is returned as doubt.
func lockHost(name string) (unlock func(), doubt, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("lock: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
	if errors.Is(err, unix.EADDRINUSE) {
		defer func() { _ = unix.Close(fd) }()
		doubt, err = lockHolder(fd, name)
		return func() {}, doubt, err
	}
	if err == nil {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, nil, fmt.Errorf("lock: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer func() { _ = file.Close() }()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, nil, fmt.Errorf("lock: %w", err)
	}
	ended := make(chan struct{})
	go func() { // whoever asks learns by the connection who we are
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return func() {
		_ = l.Close()
		<-ended // the name is free
	}, nil, nil
}

// lockHolder returns an error that names the agent that has the name, or doubt if it need not be one.
func lockHolder(fd int, name string) (doubt, err error) {
	var peer *unix.Ucred
	// Its queue may be full for a moment.
	_ = unix.SetNonblock(fd, false)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 2})
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err == nil {
		peer, _ = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	}
	switch {
	case peer == nil:
		return nil, fmt.Errorf("%w: end it first", errOtherAgent)
	case peer.Uid != 0 && int(peer.Uid) != os.Geteuid():
		return fmt.Errorf("user %d (pid %d) has the socket %s, by which agents of one host know of one another: a second agent would not be noticed", peer.Uid, peer.Pid, name), nil
	case peer.Pid == 0: // of a container whose processes are not seen from here
		return nil, fmt.Errorf("%w, in another container: end it first", errOtherAgent)
	}
	return nil, fmt.Errorf("%w (pid %d): end it first", errOtherAgent, peer.Pid)
}
