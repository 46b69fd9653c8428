package controller

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tierwall/tierwall/api/v1alpha1"
	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// state is what is known of the cluster: objects with what is wrong with them,
// and what nodes report. It is safe for concurrent use.
type state struct {
	mu         sync.Mutex
	translator *translate.Translator
	subjects   map[policy.Key]*subject
	rollups    *rollups
	// statuses are those that objects had at the beginning, until the objects are known.
	statuses map[policy.Key]existing
	// whole says that all objects and reports have been read once.
	whole bool
}

// subject is an object that the controller validates.
type subject struct {
	kind       *kind
	uid        types.UID
	generation int64
	// unsure says that uid and generation may be those of another version: what
	// the store cannot read comes without them.
	unsure   bool
	validity validity
	// lastStatus is what the object's status says; nil if it says nothing.
	lastStatus *objectStatus
	lastEvent  writtenEvent
}

// existing is the status of an object.
type existing struct {
	uid    types.UID
	status objectStatus
}

// writtenEvent is the last Event about an object.
type writtenEvent struct {
	name  string // of the Event; empty if there is none
	at    time.Time
	count int32 // how often it was written
}

// change is an object to be reconciled.
type change struct {
	key policy.Key
	// urgent are those of which people should learn first.
	urgent bool
	// after is how long to wait for further changes.
	after time.Duration
}

// How long to wait for further changes: of the object itself, of how far it is in
// force, and of mere numbers.
const (
	afterObject   = 100 * time.Millisecond
	afterProgress = time.Second
	afterNumbers  = 10 * time.Second
)

func newState() *state {
	return &state{
		translator: translate.New(translate.Options{}),
		subjects:   map[policy.Key]*subject{},
		rollups:    newRollups(),
	}
}

// begin notes which statuses there are at the beginning.
func (s *state) begin(statuses map[policy.Key]existing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statuses = statuses
}

// take takes a batch of the store in.
func (s *state) take(b store.Batch) []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := map[policy.Key]bool{}
	for i := range b.Updated {
		r := &b.Updated[i]
		object, ok := r.Object.(metav1.Object)
		if k := kindOf[r.Key.Kind]; k != nil && ok {
			s.subject(r.Key, k).isNow(object.GetUID(), object.GetGeneration(), s.statuses[r.Key])
			changed[r.Key] = true
		}
	}
	unread := map[policy.Key]bool{}
	for i := range b.Findings {
		unread[b.Findings[i].Key] = true
	}
	s.translator.Apply(b, translate.Sink{Status: func(st translate.Status) {
		k := kindOf[st.Key.Kind]
		if k == nil {
			return
		}
		if st.State == 0 {
			delete(s.subjects, st.Key)
			return
		}
		o := s.subject(st.Key, k)
		o.validity = validate(st.Findings)
		o.unsure = o.unsure || unread[st.Key] || o.uid == ""
		changed[st.Key] = true
	}})
	var out []change
	if !s.whole {
		return nil // all are spoken of when it is
	}
	for key := range changed {
		if o := s.subjects[key]; o != nil {
			out = append(out, change{key: key, urgent: !o.validity.valid(), after: afterObject})
		}
	}
	return out
}

// subject returns what is known of an object, making it if it is new.
func (s *state) subject(key policy.Key, k *kind) *subject {
	o := s.subjects[key]
	if o == nil {
		o = &subject{kind: k, validity: validate(nil)}
		s.subjects[key] = o
	}
	return o
}

// isNow notes which version of the object there is, and the status that it had
// at the beginning if it is the same object.
func (o *subject) isNow(uid types.UID, generation int64, was existing) {
	if o.uid != uid {
		o.lastStatus, o.lastEvent = nil, writtenEvent{}
		if was.uid == uid {
			o.lastStatus = &was.status
		}
	}
	o.uid, o.generation, o.unsure = uid, generation, false
}

// complete says that all objects and reports have been read once, and gives all
// objects. Statuses from before are no longer needed.
func (s *state) complete() []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range s.subjects {
		if was := s.statuses[key]; o.uid == "" && was.uid != "" {
			o.uid, o.lastStatus = was.uid, &was.status
		}
	}
	s.statuses, s.whole = nil, true
	return s.everything()
}

// all returns all objects.
func (s *state) all() []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.everything()
}

func (s *state) everything() []change {
	out := make([]change, 0, len(s.subjects))
	for key, o := range s.subjects {
		out = append(out, change{key: key, urgent: !o.validity.valid()})
	}
	return out
}

// report takes the report of a node in.
func (s *state) report(node, version string, r *v1alpha1.Report) []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes(s.rollups.set(node, version, r, time.Now()))
}

// lookForOverdue looks for reports that are not renewed. What is said of policies depends on whether
// there are any.
func (s *state) lookForOverdue(at time.Time) []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.rollups.lookForOverdue(at) || !s.whole {
		return nil
	}
	return s.everything()
}

// keep forgets the nodes that are not among those given.
func (s *state) keep(nodes map[string]bool) []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []change
	for node := range s.rollups.nodes {
		if !nodes[node] {
			out = append(out, s.changes(s.rollups.remove(node))...)
		}
	}
	return out
}

// forget forgets a node.
func (s *state) forget(node string) []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes(s.rollups.remove(node))
}

// changes returns when to reconcile policies of which nodes report something new.
func (s *state) changes(keys []policy.Key) []change {
	if !s.whole {
		return nil // all are spoken of when it is
	}
	out := make([]change, 0, len(keys))
	for _, key := range keys {
		o := s.subjects[key]
		if o == nil {
			continue
		}
		c := change{key: key, urgent: !o.validity.valid(), after: afterProgress}
		if o.lastStatus != nil && o.lastStatus.Nodes > 0 && o.lastStatus.ObservedGeneration == o.generation && s.rollups.isWhole(key, o.generation) {
			c.after = afterNumbers // it was in force on all nodes and still is
		}
		out = append(out, c)
	}
	return out
}

// reconciliation is what there is to write about an object.
type reconciliation struct {
	subject
	status  objectStatus
	differs bool // from lastStatus
}

// desired returns what there is to write about an object; false if it is gone.
func (s *state) desired(key policy.Key, at time.Time) (reconciliation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.subjects[key]
	if o == nil {
		return reconciliation{}, false
	}
	out := reconciliation{subject: *o, status: status(o.kind.Status, o.generation, o.validity, s.rollups.rollout(key, o.generation))}
	var last objectStatus
	if o.lastStatus != nil {
		last = *o.lastStatus
	}
	if tier := s.translator.Tier(key); tier != nil {
		out.status.DefaultAction = v3.Action(tier.DefaultAction.String())
	}
	out.differs = renew(&last, &out.status, at)
	return out, true
}

// knows reports whether there is an object.
func (s *state) knows(key policy.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subjects[key] != nil
}

// identify notes which version of the object there is, after it was asked for.
func (s *state) identify(key policy.Key, uid types.UID, generation int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.subjects[key]; o != nil && o.unsure {
		o.isNow(uid, generation, s.statuses[key])
	}
}

// noteStatus notes what the status of an object says now.
func (s *state) noteStatus(key policy.Key, uid types.UID, status *objectStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.subjects[key]; o != nil && o.uid == uid {
		o.lastStatus = status
	}
}

// noteEvent notes the last Event about an object.
func (s *state) noteEvent(key policy.Key, uid types.UID, t writtenEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.subjects[key]; o != nil && o.uid == uid {
		o.lastEvent = t
	}
}
