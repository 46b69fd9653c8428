package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
)

// parseStore gives the directory of a store and makes sure that it can be read.
func parseStore(s string) (string, error) {
	kind, dir, found := strings.Cut(s, ":")
	switch {
	case s == "":
		return "", errors.New("no store: name a directory of manifests with --store files:DIR")
	case !found && !strings.Contains(s, "/"):
		return "", fmt.Errorf("store %q: expected files:DIR", s)
	case !found:
		return "", fmt.Errorf("store %q: expected files:DIR; did you mean files:%s?", s, s)
	case kind != "files":
		return "", fmt.Errorf("store %q: unknown kind %q: expected files:DIR", s, kind)
	case dir == "":
		return "", fmt.Errorf("store %q: the directory is missing: expected files:DIR", s)
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("store %s: there is no such directory", s)
	case err != nil:
		return "", fmt.Errorf("store %s: %w", s, err)
	case !info.IsDir():
		return "", fmt.Errorf("store %s: it is no directory; name the one that holds the manifests", s)
	}
	if _, err := os.ReadDir(dir); err != nil {
		return "", fmt.Errorf("store %s: %w", s, err)
	}
	return dir, nil
}

// usable refuses a first state that holds nothing: more likely a wrong path or
// a volume that is not mounted than a wish to enforce nothing.
func usable(dir string, first store.Batch) error {
	if len(first.Updated) > 0 {
		return nil
	}
	var errs []error
	for _, f := range first.Findings {
		if !f.Note && len(errs) < maxLogged {
			errs = append(errs, f)
		}
	}
	if len(errs) == 0 {
		return fmt.Errorf("store files:%s: the directory holds no manifests; nothing was changed", dir)
	}
	errs = append(errs, fmt.Errorf("store files:%s: no object in it is valid; nothing was changed", dir))
	return errors.Join(errs...)
}

// follow watches the directory. The second channel gets the watch's end once.
func follow(ctx context.Context, dir string) (<-chan store.Batch, chan error) {
	batches, ended := make(chan store.Batch), make(chan error, 1)
	go func() {
		ended <- files.Watch(ctx, dir, files.Options{}, func(b store.Batch) error {
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
