package files

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tierwall/tierwall/internal/store"
)

// Writers make several changes in a row (a directory is unpacked, a file is
// written in pieces), so Watch waits until they pause, but not forever.
const (
	settleTime = 20 * time.Millisecond
	settleMax  = 250 * time.Millisecond
	// recheckTime bounds how long a change can go unseen that makes no event,
	// such as one behind a link that leads out of the directory.
	recheckTime = 5 * time.Second
)

// Watch reads a directory and goes on giving batches as it changes, until the
// context ends (then it returns nil), yield fails or the directory cannot be
// watched. The first batch is the whole state and comes even if it is empty.
// Files are read as Load reads them.
//
// What does not parse keeps its last valid version: an object with a finding
// does; so do all objects of a file that has become unreadable or empty, and
// those missing from a file of which a part does not parse. Objects go when
// their file goes, or when it is right and no longer holds them.
//
// Files replaced by renaming, as ConfigMaps are mounted and editors save, are
// seen whole. One that is written in place may be read half-written, if the
// writer pauses; what parses then counts, until the rest is there.
func Watch(ctx context.Context, dir string, opts Options, yield func(store.Batch) error) error {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	defer func() { _ = events.Close() }()
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	// The parent tells when the directory itself, or the link that it is, is replaced.
	if err := events.Add(filepath.Dir(absolute)); err != nil {
		return fmt.Errorf("watch %s: %w", filepath.Dir(absolute), err)
	}
	w := &watcher{dir: absolute, scanner: newScanner(dir, opts), events: events, yield: yield}
	err = w.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type watcher struct {
	dir     string // absolute
	scanner *scanner
	events  *fsnotify.Watcher
	yield   func(store.Batch) error
}

func (w *watcher) run(ctx context.Context) error {
	if err := w.scan(true); err != nil {
		return err
	}
	settled := time.NewTimer(time.Hour)
	settled.Stop()
	recheck := time.NewTicker(recheckTime)
	defer settled.Stop()
	defer recheck.Stop()
	var since time.Time // of the first event not acted on; zero if none
	wake := func() {
		if since.IsZero() {
			since = time.Now()
		}
		settled.Reset(min(settleTime, max(0, settleMax-time.Since(since))))
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.events.Events:
			if !ok {
				return errors.New("watch ended")
			}
			if w.concerns(e) {
				wake()
			}
		case _, ok := <-w.events.Errors:
			if !ok {
				return errors.New("watch ended")
			}
			wake() // events may be lost: look at everything
		case <-settled.C:
			since = time.Time{}
			if err := w.scan(false); err != nil {
				return err
			}
		case <-recheck.C:
			if err := w.scan(false); err != nil {
				return err
			}
		}
	}
}

// concerns reports whether the event is about something in the directory. The
// parent's events are mostly about others.
func (w *watcher) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return true // it may have become readable
	}
	parent := filepath.Dir(w.dir)
	return parent == w.dir || filepath.Dir(e.Name) != parent || e.Name == w.dir
}

// scan returns what has changed since the last scan.
func (w *watcher) scan(first bool) error {
	// A directory is watched before it is listed, so that nothing is missed in
	// between. Watching it again is no cost; a new one of its name needs it.
	batch, changed := w.scanner.scan(func(dir string) {
		if absolute, err := filepath.Abs(dir); err == nil {
			_ = w.events.Add(absolute) // if it fails, so does listing, or the recheck sees changes
		}
	})
	if !changed && !first {
		return nil
	}
	return w.yield(batch)
}
