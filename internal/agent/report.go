package agent

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// maxLogged bounds the lines that one event may fill the log with; status has
// the whole of it.
const maxLogged = 20

// report is what one batch of the store gives reason to say.
type report struct {
	before, now []store.Finding // the store's, before the batch and after it
	statuses    []translate.Status
}

// report logs what batches brought. At the start only what is wrong is worth a line.
func (a *agent) report(reports []report, first bool) {
	for _, r := range reports {
		a.reportFindings(r.before, r.now)
		a.reportStatuses(r.statuses, first)
	}
}

// reportFindings logs what is newly wrong with files, and what no longer is.
func (a *agent) reportFindings(before, now []store.Finding) {
	before, now = fileFindings(before), fileFindings(now)
	logged := 0
	for _, f := range now {
		if slices.Contains(before, f) {
			continue
		}
		if logged++; logged <= maxLogged {
			a.log.Error("invalid", "finding", f.Error())
		}
	}
	if logged > maxLogged {
		a.log.Error("and more that is invalid: see status", "more", logged-maxLogged)
	}
	for _, f := range before {
		if !slices.Contains(now, f) {
			a.log.Info("no longer invalid", "was", f.Error())
		}
	}
}

// reportStatuses logs what became of objects; of endpoints, which come and go
// in numbers, only what is wrong, unless the log is at debug level.
func (a *agent) reportStatuses(statuses []translate.Status, first bool) {
	logged := 0
	for _, s := range statuses {
		name := store.ObjectName(s.Key)
		if s.State == translate.LastValid || s.State == translate.NotInForce {
			for _, f := range s.Findings {
				a.log.Error("invalid", "object", name, "state", s.State.String(), "finding", f.Error())
			}
			continue
		}
		level := slog.LevelInfo
		if first || !isPolicyKind(s.Key.Kind) {
			level = slog.LevelDebug
		}
		if !a.log.Enabled(context.Background(), level) {
			continue
		}
		if logged++; logged > maxLogged {
			continue
		}
		if s.State == 0 {
			a.log.Log(context.Background(), level, "gone", "object", name)
			continue
		}
		args := []any{"object", name, "state", s.State.String()}
		a.mu.RLock()
		n, ok := a.view.selected(s.Key)
		a.mu.RUnlock()
		if ok {
			args = append(args, "localEndpoints", n)
		}
		a.log.Log(context.Background(), level, "taken in", args...)
	}
	if logged > maxLogged {
		a.log.Info("and more that was taken in: see status", "more", logged-maxLogged)
	}
}

// isPolicyKind reports whether objects of the kind are written by people to
// decide about connections.
func isPolicyKind(kind string) bool {
	switch kind {
	case policy.KindTier, policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy,
		policy.KindKubernetesNetworkPolicy, policy.KindNetworkSet, policy.KindGlobalNetworkSet:
		return true
	}
	return strings.HasPrefix(kind, "Staged")
}
