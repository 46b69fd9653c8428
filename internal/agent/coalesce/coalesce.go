// Package coalesce turns many notifications into few.
package coalesce

import (
	"context"
	"time"
)

// Watch returns what a watch notifies of as signals, with at least interval between
// two, however many notifications there are meanwhile: notify never waits. If the
// watch ends before the context does, failed is told why.
func Watch(ctx context.Context, interval time.Duration, watch func(ctx context.Context, notify func()) error, failed func(error)) <-chan struct{} {
	changed, out := make(chan struct{}, 1), make(chan struct{})
	go func() {
		err := watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default: // one is waiting already
			}
		})
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
	}()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			select {
			case out <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(interval):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
