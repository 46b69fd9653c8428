package uninstall

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Witness knows whether the installation that an agent belongs to is being
// deleted. It is one of these, each seen in the API and never inferred from an
// error:
//
//   - the namespace of the agent ends, which nothing can undo;
//   - the DaemonSet of the agent is deleted, and none of its name takes its place
//     within seconds.
//
// It follows the namespace from the beginning, because in the end its agent's
// rights may be gone already.
type Witness struct {
	client               kubernetes.Interface
	namespace, daemonSet string
	log                  *slog.Logger
	settle               time.Duration
	ends                 atomic.Bool // the namespace
}

// The environment variables by which the manifests tell an agent what it is
// part of.
const (
	NamespaceVariable = "POD_NAMESPACE"
	DaemonSetVariable = "DAEMONSET_NAME"
)

// Watch begins to witness, until the context ends. It gives nil if the
// environment does not say that this process is part of a DaemonSet; the methods
// of a nil Witness work.
func Watch(ctx context.Context, client kubernetes.Interface, log *slog.Logger) *Witness {
	w := &Witness{client: client, namespace: os.Getenv(NamespaceVariable), daemonSet: os.Getenv(DaemonSetVariable), log: log, settle: settleTime}
	if w.namespace == "" || w.daemonSet == "" {
		return nil
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "namespaces", metav1.NamespaceAll,
			fields.OneTermEqualSelector(metav1.ObjectNameField, w.namespace)),
		ObjectType: &corev1.Namespace{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    w.see,
			UpdateFunc: func(_, now any) { w.see(now) },
			DeleteFunc: func(any) { w.ends.Store(true) },
		},
	})
	go informer.RunWithContext(ctx)
	return w
}

func (w *Witness) see(object any) {
	if n, ok := object.(*corev1.Namespace); ok && n.DeletionTimestamp != nil {
		w.ends.Store(true)
	}
}

// How long Underway may take, of the time that an agent has to end.
const (
	askTimeout = 5 * time.Second // for the answers
	settleTime = 8 * time.Second // for a DaemonSet to come again, which takes kubectl replace --force a second
	settlePoll = 250 * time.Millisecond
)

// Underway reports whether the installation is being deleted, and says what it
// was known by. What cannot be found out is logged, and counts as no.
func (w *Witness) Underway(ctx context.Context) (bool, string) {
	if w == nil {
		return false, ""
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout+w.settle)
	defer cancel()
	ends := fmt.Sprintf("namespace %s ends", w.namespace)
	if w.namespaceEnds(ctx) {
		return true, ends
	}
	absent := false
	for deadline := time.Now().Add(w.settle); ; {
		set, err := w.client.AppsV1().DaemonSets(w.namespace).Get(ctx, w.daemonSet, metav1.GetOptions{})
		switch {
		case w.ends.Load():
			return true, ends
		case err == nil && set.DeletionTimestamp == nil:
			return false, ""
		case absent && (apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)):
			return true, w.gone() // and the rights to ask go as well
		case err != nil && !apierrors.IsNotFound(err):
			w.log.Warn("whether tierwall is being uninstalled is unknown: what is in force stays", "error", err,
				"to remove it", "tierwall agent remove")
			return false, ""
		case !time.Now().Before(deadline):
			return true, w.gone()
		}
		// One that comes again at once is a replacement.
		absent = true
		select {
		case <-ctx.Done():
		case <-time.After(settlePoll):
		}
	}
}

func (w *Witness) gone() string {
	return fmt.Sprintf("DaemonSet %s/%s is deleted", w.namespace, w.daemonSet)
}

// namespaceEnds reports whether the namespace has been seen to end, or is.
func (w *Witness) namespaceEnds(ctx context.Context) bool {
	if w.ends.Load() {
		return true
	}
	n, err := w.client.CoreV1().Namespaces().Get(ctx, w.namespace, metav1.GetOptions{})
	return err == nil && n.DeletionTimestamp != nil || w.ends.Load()
}
