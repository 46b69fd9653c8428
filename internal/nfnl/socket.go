package nfnl

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	datagram      = 1 << 17 // more than the kernel puts into one
	answerSeconds = 20      // how long an answer is waited for
)

// openSocket opens a blocking socket in the thread's network namespace, which asks for
// short answers with explanations and, unless it is 0, has a receive buffer of so many bytes.
func openSocket(buffer int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := setUpSocket(fd); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	if buffer > 0 {
		setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, buffer)
	}
	return fd, nil
}

func setUpSocket(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	for _, option := range []int{unix.NETLINK_CAP_ACK, unix.NETLINK_EXT_ACK} {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// setBuffer asks for a buffer of n bytes, beyond the system's limit where that
// is allowed. It is not an error to get less: sending tells.
func setBuffer(fd, force, plain, n int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, n) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, n)
	}
}

// InNamespace runs f on a thread that is in the network namespace that a file
// stands for; in the caller's if that is empty.
func InNamespace(netns string, f func() error) error {
	if netns == "" {
		return f()
	}
	fd, err := unix.Open(netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", netns, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := onThread(fd, f); err != nil {
		return fmt.Errorf("network namespace %s: %w", netns, err)
	}
	return nil
}

// onThread runs f on a thread that is in another network namespace.
func onThread(netns int, f func() error) error {
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(home) }()
	done := make(chan error)
	go func() {
		// The thread goes back where it was: the process's first one does not end with
		// its goroutine. If it cannot, it stays locked, and nobody else gets a thread in
		// the wrong namespace.
		runtime.LockOSThread()
		if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
			done <- os.NewSyscallError("setns", err)
			return
		}
		err := f()
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
