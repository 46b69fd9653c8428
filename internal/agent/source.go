package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/tierwall/tierwall/internal/store"
)

// usable refuses a first state of files that holds nothing: more likely a wrong
// path or a volume that is not mounted than a wish to enforce nothing. A
// cluster that holds nothing is one.
func usable(source string, objects int, findings []store.Finding) error {
	if objects > 0 {
		return nil
	}
	var errs []error
	for _, f := range findings {
		if !f.Note && len(errs) < maxLogged {
			errs = append(errs, f)
		}
	}
	if len(errs) == 0 {
		return fmt.Errorf("store %s: the directory holds no manifests; nothing was changed", source)
	}
	errs = append(errs, fmt.Errorf("store %s: no object in it is valid; nothing was changed", source))
	return errors.Join(errs...)
}

// follow watches the store. The second channel gets the watch's end once.
func follow(ctx context.Context, source store.Source) (<-chan store.Batch, chan error) {
	batches, ended := make(chan store.Batch), make(chan error, 1)
	go func() {
		ended <- source.Watch(ctx, func(b store.Batch) error {
			select {
			case batches <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return batches, ended
}
