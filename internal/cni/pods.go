package cni

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// pods are the pods that have started on this host, or are about to: what the enforcer was
// told of, which addresses belong to whom, and the records. A pod whose ADD fails
// leaves nothing.
type pods struct {
	enforcer Enforcer
	dir      wire.Dir
	log      *slog.Logger
	// linkExists reports whether this host has an interface with the number.
	linkExists func(index int) (bool, error)

	locks keyedMutex

	mu      sync.Mutex
	records map[wire.Attachment]Record
	owners  map[netip.Addr]wire.Attachment // those of adds under way as well
	waiting int
}

// ErrStopping is the cause of the end of the server's context. An Enforcer that ends before the
// server returns an error that wraps it: the plugin then turns to the next agent.
var ErrStopping = errors.New("this agent ends")

// read takes the records in that an earlier agent and plugins have left.
func (p *pods) read() error {
	if err := p.dir.Make(); err != nil {
		return err
	}
	p.dir.Clean(time.Now())
	records, problems, err := p.dir.Read()
	if err != nil {
		return err
	}
	for _, problem := range problems {
		p.log.Warn("a record of a pod is of no use: its addresses are known from the API only", "error", problem)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Of two pods with one address the later one has it.
	slices.SortFunc(records, func(a, b Record) int { return a.Since.Compare(b.Since) })
	for _, r := range records {
		p.records[r.Attachment] = r
		for _, a := range r.Addrs {
			p.owners[a] = r.Attachment
		}
	}
	return nil
}

// list returns the records, ordered by namespace, name and container.
func (p *pods) list() []Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Record, 0, len(p.records))
	for _, r := range p.records {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Container, b.Container), cmp.Compare(a.Interface, b.Interface))
	})
	return list
}

// record returns the record of an attachment.
func (p *pods) record(a wire.Attachment) (Record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.records[a]
	return r, ok
}

// add returns when the pod is enforced for and on record. If it is not in time, nothing
// stays of it; with keep, everything does.
func (p *pods) add(ctx context.Context, pod Pod, keep bool) error {
	mine, unlock, err := p.locks.lock(ctx, pod.Attachment)
	if err != nil {
		return err
	}
	defer unlock()
	p.count(1)
	defer p.count(-1)
	if r, ok := p.record(pod.Attachment); ok && r.PodID != pod.PodID {
		p.drop(context.WithoutCancel(mine), r.PodID) // a sandbox has one pod
	}
	pod = p.checkLink(pod)
	for _, other := range p.claim(pod) {
		if err := p.evict(mine, other, pod); err != nil {
			return p.giveUp(mine, pod.PodID, err)
		}
	}
	err = p.enforcer.Ensure(mine, pod)
	late := err != nil
	if late && !(keep && errors.Is(context.Cause(mine), context.DeadlineExceeded)) {
		return p.giveUp(mine, pod.PodID, err)
	}
	err = withCause(mine, err)
	r := Record{Pod: pod, Since: time.Now(), Late: late}
	if failed := p.dir.Write(r); failed != nil && !keep {
		return p.giveUp(mine, pod.PodID, failed)
	} else if failed != nil {
		p.log.Error("a pod that starts has no record: an agent that starts before the API tells the pod's addresses will not know them", "pod", pod.PodID, "error", failed)
	}
	p.keep(r)
	return err
}

// keep takes a record in, and its addresses, unless another pod is just being given them: that one
// waits for the lock to forget this one.
func (p *pods) keep(r Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records[r.Attachment] = r
	for _, a := range r.Addrs {
		if _, ok := p.owners[a]; !ok {
			p.owners[a] = r.Attachment
		}
	}
}

// giveUp takes back what an add has done. An agent that ends leaves it: what was
// taken in is gone with it, and there is no record.
func (p *pods) giveUp(ctx context.Context, id PodID, err error) error {
	if !errors.Is(context.Cause(ctx), ErrStopping) && !errors.Is(err, ErrStopping) {
		p.drop(context.WithoutCancel(ctx), id)
	}
	return withCause(ctx, err)
}

// withCause adds to an error why the context has ended, if it has.
func withCause(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case err == nil || cause == nil || errors.Is(err, cause):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// The cause says it better, unless there is more than the context's own words.
		if err == context.DeadlineExceeded || err == context.Canceled { //nolint:errorlint // nothing wrapped around it
			return cause
		}
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// drop forgets a pod. The caller holds the lock of its attachment.
func (p *pods) drop(ctx context.Context, id PodID) {
	p.enforcer.Forget(ctx, id)
	if err := p.dir.Remove(id.Attachment); err != nil {
		p.log.Error("the record of a pod that has ended stays", "pod", id, "error", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.records, id.Attachment)
	for a, owner := range p.owners {
		if owner == id.Attachment {
			p.disown(a)
		}
	}
}

// disown takes an address from its owner. One that was to lose it to that owner, and
// did not yet, has it again.
func (p *pods) disown(addr netip.Addr) {
	delete(p.owners, addr)
	for a, r := range p.records {
		if slices.Contains(r.Addrs, addr) {
			p.owners[addr] = a
		}
	}
}

// claim makes the addresses the pod's, and gives the attachments whose they were:
// the network plugin gives no address to two, so that those must have ended.
func (p *pods) claim(pod Pod) []wire.Attachment {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, owner := range p.owners { // an earlier try may have had others
		if owner == pod.Attachment && !slices.Contains(pod.Addrs, a) {
			delete(p.owners, a)
		}
	}
	var before []wire.Attachment
	for _, a := range pod.Addrs {
		if owner, ok := p.owners[a]; ok && owner != pod.Attachment && !slices.Contains(before, owner) {
			before = append(before, owner)
		}
		p.owners[a] = pod.Attachment
	}
	return before
}

// evict forgets a pod whose address another one has now.
func (p *pods) evict(ctx context.Context, other wire.Attachment, now Pod) error {
	mine, unlock, err := p.locks.lock(ctx, other)
	if err != nil {
		return err
	}
	defer unlock()
	if r, ok := p.record(other); ok {
		p.log.Info("the end of a pod was not told: its address belongs to another one now", "pod", r.PodID, "now", now.PodID)
		p.drop(context.WithoutCancel(mine), r.PodID)
	}
	return nil
}

// del forgets the pod of an attachment, which need not be known.
func (p *pods) del(ctx context.Context, a wire.Attachment) error {
	mine, unlock, err := p.locks.lock(ctx, a)
	if err != nil {
		return err
	}
	defer unlock()
	if r, ok := p.record(a); ok {
		p.drop(context.WithoutCancel(mine), r.PodID)
		return nil
	}
	// There may be a record that could not be read.
	return p.dir.Remove(a)
}

// check says whether a pod that runs is on record as it is, and enforced for.
func (p *pods) check(ctx context.Context, pod Pod) error {
	mine, unlock, err := p.locks.lock(ctx, pod.Attachment)
	if err != nil {
		return err
	}
	defer unlock()
	r, ok := p.record(pod.Attachment)
	switch {
	case !ok:
		return fmt.Errorf("there is no record of pod %s with sandbox %s", pod.PodID, pod.Container)
	case r.PodID != pod.PodID:
		return fmt.Errorf("sandbox %s is on record for pod %s, not %s", pod.Container, r.PodID, pod.PodID)
	case !slices.Equal(r.Addrs, pod.Addrs):
		return fmt.Errorf("pod %s is on record with addresses %v, not %v", pod.PodID, r.Addrs, pod.Addrs)
	}
	return withCause(mine, p.enforcer.Ensure(mine, r.Pod))
}

// dropIf forgets a pod if its record is still the one that the caller has seen.
func (p *pods) dropIf(ctx context.Context, r Record) bool {
	mine, unlock, err := p.locks.lock(ctx, r.Attachment)
	if err != nil {
		return false
	}
	defer unlock()
	if now, ok := p.record(r.Attachment); !ok || !now.Since.Equal(r.Since) {
		return false
	}
	p.drop(context.WithoutCancel(mine), r.PodID)
	return true
}

// checkLink leaves the number of the host's interface out if this process does not
// see it: its absence will then prove nothing.
func (p *pods) checkLink(pod Pod) Pod {
	if pod.HostIndex == 0 {
		return pod
	}
	if there, err := p.linkExists(pod.HostIndex); err == nil && there {
		return pod
	}
	p.log.Warn("the agent does not see the interface of a pod: it must be in the network namespace of the host", "pod", pod.PodID, "interface", pod.HostInterface)
	pod.HostInterface, pod.HostIndex = "", 0
	return pod
}

func (p *pods) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting += n
}
