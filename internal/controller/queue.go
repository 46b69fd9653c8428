package controller

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/tierwall/tierwall/policy"
)

// queue holds the objects of which there may be something to say, each once:
// those that are urgent first.
type queue struct {
	workqueue.TypedRateLimitingInterface[policy.Key]
	line *line
}

// How long to wait after a failure: twice as long each time.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

func newQueue() *queue {
	l := &line{urgent: map[policy.Key]bool{}}
	plain := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[policy.Key]{Queue: l})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[policy.Key]{Queue: plain})
	retries := workqueue.NewTypedItemExponentialFailureRateLimiter[policy.Key](firstRetry, lastRetry)
	return &queue{
		TypedRateLimitingInterface: workqueue.NewTypedRateLimitingQueueWithConfig(retries,
			workqueue.TypedRateLimitingQueueConfig[policy.Key]{DelayingQueue: delaying}),
		line: l,
	}
}

// put adds changes. One that is there already keeps its place, unless it comes
// earlier now.
func (q *queue) put(changes []change) {
	q.line.mark(changes)
	for _, c := range changes {
		q.AddAfter(c.key, c.after)
	}
}

// line is two lines: those who are urgent go first.
type line struct {
	mu     sync.Mutex // of urgent; the lines are under the queue's own lock
	urgent map[policy.Key]bool

	first, rest fifo
}

func (l *line) mark(changes []change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range changes {
		if c.urgent {
			l.urgent[c.key] = true
		} else {
			delete(l.urgent, c.key)
		}
	}
}

func (l *line) isUrgent(key policy.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.urgent[key]
}

// Touch is called for what is in the line already.
func (l *line) Touch(policy.Key) {}

// Push adds at the end of a line.
func (l *line) Push(key policy.Key) {
	if l.isUrgent(key) {
		l.first.push(key)
	} else {
		l.rest.push(key)
	}
}

// Len returns the number of those who wait.
func (l *line) Len() int { return l.first.len() + l.rest.len() }

// Pop takes the next one.
func (l *line) Pop() policy.Key {
	if l.first.len() > 0 {
		return l.first.pop()
	}
	return l.rest.pop()
}

// fifo is a line whose memory is used again.
type fifo struct {
	keys []policy.Key
	head int
}

func (f *fifo) len() int { return len(f.keys) - f.head }

func (f *fifo) push(key policy.Key) { f.keys = append(f.keys, key) }

func (f *fifo) pop() policy.Key {
	key := f.keys[f.head]
	f.keys[f.head] = policy.Key{}
	f.head++
	if f.head > len(f.keys)/2 {
		f.keys = append(f.keys[:0], f.keys[f.head:]...)
		f.head = 0
	}
	return key
}
