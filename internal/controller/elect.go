package controller

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/tierwall/tierwall/internal/kubeclient"
)

// LeaseName is the Lease that says which controller leads.
const LeaseName = "tierwall-controller"

// elect leads whenever no other controller does, until the context ends.
func (c *controller) elect(ctx context.Context) error {
	cfg := kubeclient.WithTimeout(c.cfg.Kube)
	cfg.ContentType, cfg.AcceptContentTypes = kubeclient.JSON, kubeclient.JSON // one small object
	client, err := coordinationv1.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("API server: %w", err)
	}
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(c.cfg.Log.Handler()))
	for ctx.Err() == nil {
		lock := &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: c.cfg.Namespace, Name: LeaseName},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.cfg.Identity},
		}
		if err := c.term(ctx, lock); err != nil {
			return err
		}
	}
	return nil
}

// term waits for the Lease, leads while it holds, and lets go of it once the last
// write is done.
func (c *controller) term(ctx context.Context, lock resourcelock.Interface) error {
	// The Lease is kept until the work has ended, also when the context ends.
	holding, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	var stage atomic.Int32
	defer context.AfterFunc(ctx, func() {
		if stage.Load() == waits {
			letGo()
		}
	})()
	done := make(chan error, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   c.cfg.Lease.Duration,
		RenewDeadline:   c.cfg.Lease.Renew,
		RetryPeriod:     c.cfg.Lease.Retry,
		ReleaseOnCancel: true,
		Name:            LeaseName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				defer letGo()
				if !stage.CompareAndSwap(waits, leads) {
					return // the wait has ended at this moment
				}
				c.cfg.Log.Info("leading", "lease", lock.Describe(), "identity", c.cfg.Identity)
				working, stop := context.WithCancel(ctx)
				defer stop()
				defer context.AfterFunc(held, stop)()
				done <- c.lead(working)
			},
			OnStoppedLeading: func() {
				if stage.Load() == leads && ctx.Err() == nil {
					c.cfg.Log.Warn("not leading any more: the Lease was lost", "lease", lock.Describe())
				}
			},
			OnNewLeader: func(identity string) {
				c.noteLeader()
				if identity != c.cfg.Identity {
					c.cfg.Log.Info("another controller leads", "identity", identity)
				}
			},
		},
	})
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	c.setElected(elector.Check)
	elector.Run(holding)
	if stage.CompareAndSwap(waits, over) {
		return nil
	}
	return <-done
}

// The stages of a term.
const (
	waits int32 = iota
	leads
	over
)
