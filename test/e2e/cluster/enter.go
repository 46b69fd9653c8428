package cluster

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// allNamespaces are those that a host has of its own.
const allNamespaces = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWPID

// The runtime cannot end the process's first thread: a goroutine that ends locked to it leaves it
// where the goroutine brought it, for as long as the process lives, and with it the mounts of a
// node that is gone. So the main goroutine, which begins on that thread, keeps it.
func init() { runtime.LockOSThread() }

// enter calls f on a thread that is in namespaces of the process that the file descriptor
// is of, a process's (pidfd) or one namespace's, and gives its error. Processes that f starts are in these namespaces, and are children
// of this process all the same.
func enter(pidfd, namespaces int, f func() error) error {
	result := make(chan error, 1)
	go func() {
		err := errors.New("the function ended its goroutine")
		defer func() { result <- err }()
		// Never unlocked: the runtime ends the thread with the goroutine, so that no
		// other code meets a thread in the wrong namespaces.
		runtime.LockOSThread()
		if namespaces&unix.CLONE_NEWNS != 0 {
			// Threads share their root and working directory, and those that do cannot change
			// their mount namespace.
			if err = unix.Unshare(unix.CLONE_FS); err != nil {
				err = fmt.Errorf("unshare: %w", err)
				return
			}
		}
		if err = unix.Setns(pidfd, namespaces); err != nil {
			err = fmt.Errorf("enter the namespaces: %w", err)
			return
		}
		err = f()
	}()
	return <-result
}
