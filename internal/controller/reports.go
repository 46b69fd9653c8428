package controller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/backoff"
	"github.com/tierwall/tierwall/internal/lasterror"
)

// reports follows what agents report. Reports are taken in one by one, also when
// all are read, and are not kept: in a large cluster they are hundreds of
// megabytes.
type reports struct {
	state *state
	put   func([]change)
	// synced is called when all reports have been read once, or when it is
	// known that there are none.
	synced func()
	log    *slog.Logger
}

// How long to wait before what cannot be read is tried again: the first time, and at
// most; so long, too, where the server does not have the kind of reports.
const (
	minRetry = time.Second
	maxRetry = time.Minute
)

// follow follows the reports until the context ends.
func (r *reports) follow(ctx context.Context, cfg *rest.Config) error {
	lw, err := listWatch(cfg)
	if err != nil {
		return err
	}
	var last lasterror.Error
	pause := backoff.Backoff{Min: minRetry, Max: maxRetry}
	for ctx.Err() == nil {
		began := time.Now()
		// One that fails is made anew, for it does not say that it lost its place.
		reflector := cache.NewReflectorWithOptions(lw, &v1alpha1.NodePolicyReport{}, r, cache.ReflectorOptions{Name: "reports"})
		err := reflector.ListAndWatchWithContext(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if _, changed, _ := last.Set(err); changed {
			r.log.Warn("what agents report cannot be read; it is tried again", "error", err)
		}
		if err == nil || time.Since(began) > maxRetry { // they were read
			pause.Reset()
		}
		var wait time.Duration // none where the server ended the stream
		switch {
		case apierrors.IsNotFound(err):
			wait = maxRetry
			r.synced()
		case err != nil:
			wait = backoff.Jitter(pause.Next())
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

func listWatch(cfg *rest.Config) (*cache.ListWatch, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.APIPath = "/apis"
	cfg.GroupVersion = &v1alpha1.SchemeGroupVersion
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.QPS = -1
	client, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("API server: %w", err)
	}
	return cache.NewListWatchFromClient(client, "nodepolicyreports", metav1.NamespaceNone, fields.Everything()), nil
}

// take takes a report in and gives what is left of it: whose it is.
func (r *reports) take(object any) (any, error) {
	if report, ok := object.(*v1alpha1.NodePolicyReport); ok {
		r.put(r.state.report(report.Name, report.ResourceVersion, &report.Report))
		return &metav1.ObjectMeta{Name: report.Name, ResourceVersion: report.ResourceVersion}, nil
	}
	return object, nil // it was taken in before
}

// Transformer is applied to the reports that are there at the beginning, as they come.
func (r *reports) Transformer() cache.TransformFunc { return r.take }

// Add is called for a new report.
func (r *reports) Add(object any) error {
	_, err := r.take(object)
	return err
}

// Update is called for a new version of a report.
func (r *reports) Update(object any) error { return r.Add(object) }

// Delete is called for a report that is gone.
func (r *reports) Delete(object any) error {
	if o, ok := object.(metav1.Object); ok {
		r.put(r.state.forget(o.GetName()))
	}
	return nil
}

// Replace is called with all reports there are.
func (r *reports) Replace(objects []any, _ string) error {
	nodes := make(map[string]bool, len(objects))
	for _, object := range objects {
		if err := r.Add(object); err != nil {
			return err
		}
		if o, ok := object.(metav1.Object); ok {
			nodes[o.GetName()] = true
		}
	}
	r.put(r.state.keep(nodes))
	r.synced()
	return nil
}

// Resync has nothing to do.
func (r *reports) Resync() error { return nil }
