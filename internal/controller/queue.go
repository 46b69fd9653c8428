package controller

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/tierwall/tierwall/policy"
)

// queue holds the objects to be reconciled, each once:
// those that are urgent first.
type queue struct {
	workqueue.TypedRateLimitingInterface[policy.Key]
	priority *priorityQueue
}

// How long to wait after a failure: twice as long each time.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

func newQueue() *queue {
	p := &priorityQueue{urgent: map[policy.Key]bool{}}
	plain := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[policy.Key]{Queue: p})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[policy.Key]{Queue: plain})
	retries := workqueue.NewTypedItemExponentialFailureRateLimiter[policy.Key](firstRetry, lastRetry)
	return &queue{
		TypedRateLimitingInterface: workqueue.NewTypedRateLimitingQueueWithConfig(retries,
			workqueue.TypedRateLimitingQueueConfig[policy.Key]{DelayingQueue: delaying}),
		priority: p,
	}
}

// put adds changes. One that is there already keeps its place, unless it comes
// earlier now.
func (q *queue) put(changes []change) {
	q.priority.mark(changes)
	for _, c := range changes {
		q.AddAfter(c.key, c.after)
	}
}

// priorityQueue is two queues: what is urgent goes first.
type priorityQueue struct {
	mu     sync.Mutex // of urgent; the queues are under the queue's own lock
	urgent map[policy.Key]bool

	first, rest fifo
}

func (p *priorityQueue) mark(changes []change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		if c.urgent {
			p.urgent[c.key] = true
		} else {
			delete(p.urgent, c.key)
		}
	}
}

func (p *priorityQueue) isUrgent(key policy.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.urgent[key]
}

// Touch is called for what is queued already.
func (p *priorityQueue) Touch(policy.Key) {}

// Push adds at the end of a queue.
func (p *priorityQueue) Push(key policy.Key) {
	if p.isUrgent(key) {
		p.first.push(key)
	} else {
		p.rest.push(key)
	}
}

// Len returns the number of those who wait.
func (p *priorityQueue) Len() int { return p.first.len() + p.rest.len() }

// Pop takes the next one.
func (p *priorityQueue) Pop() policy.Key {
	if p.first.len() > 0 {
		return p.first.pop()
	}
	return p.rest.pop()
}

// fifo is a queue whose memory is used again.
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
