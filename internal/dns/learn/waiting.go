package learn

import (
	"slices"
	"time"
)

// waitingAnswer is an answer that waits.
type waitingAnswer struct {
	id         uint32
	generation uint64
	since      time.Time
	namespace  string // its client's
}

// waitingAnswers are those that wait, oldest first: at most maxHeld. When there are, one
// of the namespace that has most goes, so that nobody's answers let others' go too early.
type waitingAnswers struct {
	list []waitingAnswer
	have map[string]int // by namespace
}

// add has an answer wait. If there are too many, one of them has to go now, perhaps the
// new one.
func (w *waitingAnswers) add(a waitingAnswer) (id uint32, over bool) {
	if w.have == nil {
		w.have = map[string]int{}
	}
	if len(w.list) >= maxHeld {
		most := a.namespace
		mine := w.have[most] + 1
		for namespace, n := range w.have {
			if n > mine && n > w.have[most] {
				most = namespace
			}
		}
		if most == a.namespace {
			return a.id, true
		}
		i := slices.IndexFunc(w.list, func(x waitingAnswer) bool { return x.namespace == most })
		id, over = w.list[i].id, true
		w.list = slices.Delete(w.list, i, i+1)
		w.less(most)
	}
	w.list = append(w.list, a)
	w.have[a.namespace]++
	return id, over
}

func (w *waitingAnswers) less(namespace string) {
	if w.have[namespace]--; w.have[namespace] == 0 {
		delete(w.have, namespace)
	}
}

// remove takes those out that are ready, and hands them over.
func (w *waitingAnswers) remove(ready func(*waitingAnswer) bool, each func(*waitingAnswer)) {
	rest := w.list[:0]
	for i := range w.list {
		a := &w.list[i]
		if !ready(a) {
			rest = append(rest, *a)
			continue
		}
		w.less(a.namespace)
		each(a)
	}
	w.list = rest
}
