package cni

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// tables plays the kernel: it enforces for a pod when the test says so.
type tables struct {
	mu       sync.Mutex
	told     map[PodID]Pod
	begun    map[PodID]chan struct{} // closed when Ensure was called
	released map[PodID]chan struct{} // closed when the policy is in force
	open     bool                    // all are in force at once
	busy     map[PodID]bool
	both     []PodID // of which Ensure and Forget were called at once
}

func newTables(open bool) *tables {
	return &tables{
		told: map[PodID]Pod{}, begun: map[PodID]chan struct{}{}, released: map[PodID]chan struct{}{},
		busy: map[PodID]bool{}, open: open,
	}
}

var errNotReady = errors.New("the pod is not known yet")

func (k *tables) Ensure(ctx context.Context, pod Pod) error {
	defer k.enter(pod.PodID)()
	k.mu.Lock()
	k.told[pod.PodID] = pod
	open := k.open
	k.mu.Unlock()
	begun := k.gate(k.begun, pod.PodID)
	select {
	case <-begun:
	default:
		close(begun)
	}
	if open {
		return nil
	}
	select {
	case <-k.gate(k.released, pod.PodID):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errNotReady, ctx.Err())
	}
}

func (k *tables) Forget(_ context.Context, id PodID) {
	defer k.enter(id)()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.told, id)
	delete(k.begun, id)
}

func (k *tables) enter(id PodID) (leave func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy[id] {
		k.both = append(k.both, id)
	}
	k.busy[id] = true
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.busy, id)
	}
}

func (k *tables) gate(gates map[PodID]chan struct{}, id PodID) chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if gates[id] == nil {
		gates[id] = make(chan struct{})
	}
	return gates[id]
}

// waitBegun waits until the enforcer was told of a pod.
func (k *tables) waitBegun(id PodID) { <-k.gate(k.begun, id) }

func (k *tables) release(id PodID) { close(k.gate(k.released, id)) }

// holds names the pods that the enforcer knows, with their sandboxes.
func (k *tables) holds() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	got := []string{}
	for id := range k.told {
		got = append(got, id.String()+" "+id.Container)
	}
	slices.Sort(got)
	return got
}

func (k *tables) check(t *testing.T) {
	t.Helper()
	if len(k.both) > 0 {
		t.Errorf("two calls at once for %v", k.both)
	}
}
