package agent

import (
	"context"
	"time"

	"github.com/tierwall/tierwall/internal/agent/coalesce"
)

// minCheckInterval is the least time between two checks because of other processes: one
// that changes our table all the time must not keep the agent busy.
const minCheckInterval = time.Second

// externalChanges returns a signal each time that another process may have changed
// our tables; nil if nobody can tell.
func (a *agent) externalChanges(ctx context.Context) <-chan struct{} {
	if a.cfg.ExternalChanges == nil {
		return nil
	}
	return coalesce.Watch(ctx, minCheckInterval, a.cfg.ExternalChanges, func(err error) {
		a.log.Warn("changes by others are only found at the next check", "error", err, "every", a.cfg.CheckInterval)
	})
}
