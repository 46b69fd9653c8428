package cni

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// sweepInterval is the time between two looks for what nobody has told the server.
const sweepInterval = time.Minute

// sweepEvery looks until the context ends.
func (p *pods) sweepEvery(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.sweep(ctx)
		}
	}
}

// sweep makes up for what was told while no agent listened, or not at all: it forgets pods
// whose record a plugin has removed or whose interface is gone, and takes in
// those whose record a plugin has written.
func (p *pods) sweep(ctx context.Context) {
	known := p.list() // before the files are read: all of these have one
	files, _, err := p.dir.Read()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = p.dir.Make()
		}
		if err != nil {
			p.log.Error("records of pods", "error", err)
		}
		return
	}
	there := make(map[wire.Attachment]bool, len(files))
	for _, r := range files {
		there[r.Attachment] = true
	}
	for _, r := range known {
		if !there[r.Attachment] {
			if p.dropIf(ctx, r) {
				p.log.Info("a pod has ended while the agent did not listen", "pod", r.PodID)
			}
			continue
		}
		if r.HostIndex == 0 {
			continue
		}
		if exists, err := p.linkExists(r.HostIndex); err == nil && !exists && p.dropIf(ctx, r) {
			p.log.Info("the end of a pod was not told: its interface is gone", "pod", r.PodID, "interface", r.HostInterface)
		}
	}
	for _, r := range files {
		if _, ok := p.record(r.Attachment); !ok {
			p.adopt(ctx, r)
		}
	}
}

// adopt takes a pod in that a plugin has started without the agent, as failurePolicy
// "open" allows.
func (p *pods) adopt(ctx context.Context, r Record) {
	mine, unlock, err := p.locks.lock(ctx, r.Attachment)
	if err != nil {
		return
	}
	defer unlock()
	if !p.dir.Has(r.Attachment) {
		return // it has ended just now
	}
	p.mu.Lock()
	_, known := p.records[r.Attachment]
	for _, a := range r.Addrs {
		// Whoever has come since has been given the address later.
		_, taken := p.owners[a]
		known = known || taken
	}
	if !known {
		p.records[r.Attachment] = r
		for _, a := range r.Addrs {
			p.owners[a] = r.Attachment
		}
	}
	p.mu.Unlock()
	if known {
		return
	}
	p.log.Warn("a pod has started without the agent", "pod", r.PodID)
	soon, cancel := context.WithTimeout(mine, adoptWait)
	defer cancel()
	if err := p.enforcer.Ensure(soon, r.Pod); err != nil {
		p.log.Warn("the policy of a pod that has started is not in the kernel yet", "pod", r.PodID, "error", err)
	}
}

// adoptWait is how long a sweep waits for one pod that runs already.
const adoptWait = 2 * time.Second

// prune forgets the pods that the caller knows to be gone.
func (p *pods) prune(ctx context.Context, gone func(Record) bool) int {
	n := 0
	for _, r := range p.list() {
		if gone(r) && p.dropIf(ctx, r) {
			p.log.Info("the end of a pod was not told: the API does not know it any more", "pod", r.PodID)
			n++
		}
	}
	return n
}

// collect forgets the pods of a network that are not among those that there are.
func (p *pods) collect(ctx context.Context, network string, valid []wire.Attachment) {
	keep := make(map[wire.Attachment]bool, len(valid))
	for _, a := range valid {
		keep[a] = true
	}
	for _, r := range p.list() {
		if r.Network == network && !keep[r.Attachment] && p.dropIf(ctx, r) {
			p.log.Info("the end of a pod was not told: the container runtime does not know it any more", "pod", r.PodID)
		}
	}
}

// linkExists asks the kernel for one interface by its number. A list of all of them
// could miss one while others come and go.
func linkExists(index int) (bool, error) {
	_, err := netlink.LinkByIndex(index)
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
		return false, nil
	}
	return err == nil, err
}
