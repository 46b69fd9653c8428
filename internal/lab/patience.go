package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/tierwall/tierwall/policy"
)

// result is how an exchange ended.
type result struct {
	reply
	err error
}

// silence is the error of an answer that did not come.
type silence struct{ waited time.Duration }

func (s silence) Error() string {
	return fmt.Sprintf("no answer in %s", s.waited.Round(time.Millisecond))
}

// Timeout makes silence a net.Error's kind of timeout.
func (silence) Timeout() bool { return true }

const (
	// maxRounds bounds how often await waits again on a busy machine.
	maxRounds = 10
	// quick is the part of a timeout within which a machine that is not busy
	// makes the same exchange inside one host.
	quick = 4
)

// await waits for the result. If none comes within the timeout it makes the same
// exchange inside the destination: if that is slow, so is the machine, and it
// waits again; if it is quick, the error is silence.
func (l *Lab) await(ctx context.Context, answer <-chan result, to *Host, f policy.Flow, timeout time.Duration) (result, error) {
	start := time.Now()
	for range maxRounds {
		timer := time.NewTimer(timeout)
		select {
		case r := <-answer:
			timer.Stop()
			return r, nil
		case <-ctx.Done():
			timer.Stop()
			return result{}, ctx.Err()
		case <-timer.C:
		}
		local := f
		local.Src, local.SrcPort = f.Dst, 0
		took, err := l.reference(ctx, to, local, maxRounds*timeout)
		if err != nil && !to.router {
			return result{}, fmt.Errorf("%s does not even answer itself: %w", to.name, err)
		}
		if err != nil || took <= timeout/quick {
			break
		}
	}
	select {
	case r := <-answer: // it came while we asked
		return r, nil
	default:
		return result{}, silence{time.Since(start)}
	}
}

// reference makes an exchange inside one host and measures it.
func (l *Lab) reference(ctx context.Context, h *Host, f policy.Flow, timeout time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	_, err := l.exchange(ctx, h, f)
	if ctxErr := ctx.Err(); ctxErr != nil {
		err = ctxErr
	}
	return time.Since(start), err
}

// verdictOf says what the error of an exchange means, given that the server
// listens.
func verdictOf(err error) Verdict {
	if err == nil {
		return Allowed
	}
	for _, denial := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, // rejected by RST or ICMP
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES, // rejected by ICMP
		syscall.EPERM, // dropped on the way out of the host itself
	} {
		if errors.Is(err, denial) {
			return Denied
		}
	}
	if errors.As(err, new(silence)) {
		return Denied
	}
	return Failed
}

// detailOf returns the kernel's own words for an error, without the addresses that
// package net puts around them.
func detailOf(err error) string {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err.Error()
	}
	return err.Error()
}
