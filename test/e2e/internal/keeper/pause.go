package keeper

import (
	"os"
	"os/signal"
	"syscall"
)

// RunPause does nothing until it is told to end, but for reaping the orphans of
// its PID namespace.
func RunPause() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		reap()
	}
}

// reap takes the exit codes of all children that ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR { //nolint:errorlint // a plain number
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
