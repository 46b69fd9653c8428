package agent

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/agent/model"
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
	// staleBefore and staleNow are since when the store could not be followed then; zero: it was.
	staleBefore, staleNow time.Time
	statuses              []translate.Status
}

// report logs what batches brought. At the start only what is wrong is worth a line.
func (a *agent) report(reports []report, first bool) {
	for _, r := range reports {
		if first { // what was restored since makes another status of some
			a.model.Read(func(v model.View) {
				for i, s := range r.statuses {
					r.statuses[i] = v.Status(s.Key)
				}
			})
		}
		a.reportStaleness(r.staleBefore, r.staleNow)
		a.reportFindings(r.before, r.now, !r.staleBefore.IsZero() && !r.staleNow.IsZero())
		a.reportStatuses(r.statuses, first)
	}
}

// reportStaleness logs that the store cannot be followed any more, or is again.
func (a *agent) reportStaleness(before, now time.Time) {
	switch {
	case before.IsZero() && !now.IsZero():
		a.log.Warn("the store cannot be followed; what was last read stays in force", "since", now)
	case !before.IsZero() && now.IsZero():
		a.log.Info("the store is followed again", "after", time.Since(before).Round(time.Second))
	}
}

// reportFindings logs what is newly wrong with files, and what no longer is. While the store
// stays out of reach, why may be another reason at each try: that is no news.
func (a *agent) reportFindings(before, now []store.Finding, away bool) {
	a.reportNotes(fileNotes(before), fileNotes(now))
	before, now = fileFindings(before), fileFindings(now)
	if away {
		for _, f := range now {
			if !slices.Contains(before, f) {
				a.log.Debug("still out of reach", "finding", f.Error())
			}
		}
		return
	}
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

// reportNotes logs what of files is newly passed over.
func (a *agent) reportNotes(before, now []store.Finding) {
	logged := 0
	for _, f := range now {
		if slices.Contains(before, f) {
			continue
		}
		if logged++; logged > maxLogged {
			a.log.Warn("and more that is worth noting: see status")
			return
		}
		a.log.Warn("worth noting", "finding", f.Error())
	}
}

// reportStatuses logs what became of objects: see worthALine.
func (a *agent) reportStatuses(statuses []translate.Status, first bool) {
	logged := 0
	var selected map[policy.Key]selection
	for _, s := range statuses {
		name := store.ObjectName(s.Key)
		if s.IsWrong() {
			for _, f := range s.Findings {
				a.log.Error("invalid", "object", name, "state", s.State.String(), "finding", f.Error())
			}
			continue
		}
		for _, f := range s.Findings {
			a.log.Warn("worth noting", "object", name, "state", s.State.String(), "finding", f.Error())
		}
		level := slog.LevelInfo
		if first {
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
		if selected == nil {
			a.model.Read(func(v model.View) { selected = a.selectedBy(v) })
		}
		args := []any{"object", name, "state", s.State.String()}
		if a.inForce(s.Key) {
			args = append(args, "localEndpoints", selected[s.Key].endpoints)
		}
		a.log.Log(context.Background(), level, "taken in", args...)
	}
	if logged > maxLogged {
		a.log.Info("and more that was taken in: see status", "more", logged-maxLogged)
	}
}

// inForce reports whether a policy is.
func (a *agent) inForce(key policy.Key) (yes bool) {
	a.model.Read(func(v model.View) { yes = v.HasPolicy(key) })
	return yes
}

// worthALine reports whether a status may have to be logged: of endpoints and
// what they depend on, which come and go in numbers, only what is wrong; at the
// start of all.
func (a *agent) worthALine(s translate.Status, first bool) bool {
	switch {
	case len(s.Findings) > 0:
		return true
	case first:
		return a.log.Enabled(context.Background(), slog.LevelDebug)
	}
	return isPolicyKind(s.Key.Kind)
}

// isPolicyKind reports whether objects of the kind are written by people to
// decide about connections.
func isPolicyKind(kind string) bool {
	info, _ := policy.LookupKind(kind)
	switch info.Role {
	case policy.RoleTier, policy.RolePolicy, policy.RoleSet:
		return info.IsStored()
	}
	return false
}
