package agent

import (
	"context"
	"time"
)

// signals returns what a watch calls for as signals, with at least calm between
// two, however many calls there are meanwhile: the calls never wait. If the watch
// ends before the context does, failed is told why.
func signals(ctx context.Context, calm time.Duration, watch func(ctx context.Context, changed func()) error, failed func(error)) <-chan struct{} {
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
			case <-time.After(calm):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
