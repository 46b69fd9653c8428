package files

import (
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// scanner reads a directory again and again and tells what has changed. It
// reads only files that look changed.
type scanner struct {
	dir          string
	opts         Options
	files        map[string]*cachedFile
	sent         map[policy.Key]store.Resource
	lastFindings []store.Finding
	staleSince   time.Time // since when the directory cannot be listed; zero: it can
}

// cachedFile is a file as it was last read.
type cachedFile struct {
	info    fs.FileInfo
	content *content
	// unsure says that the file was read so soon after it was written that a
	// later change may not show in its times.
	unsure bool
}

// clockStep is more than the steps in which file systems count time.
const clockStep = 100 * time.Millisecond

func newScanner(dir string, opts Options) *scanner {
	return &scanner{dir: dir, opts: opts, files: map[string]*cachedFile{}, sent: map[policy.Key]store.Resource{}}
}

// scan reads what has changed and reports whether that changes anything. enter
// is called with each directory before it is listed.
func (s *scanner) scan(enter func(dir string)) (store.Batch, bool) {
	l := loader{opts: s.opts, left: s.opts.maxBytes(), enter: enter}
	var names []string
	l.walkAll(s.dir, func(name string) { names = append(names, name) })
	// What is in a directory that cannot be listed is unknown, not gone.
	for name := range s.files {
		if l.isLost(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	now := make(map[string]*cachedFile, len(names))
	contents := make([]*content, 0, len(names))
	for _, name := range names {
		k := s.file(&l, name)
		now[name] = k
		contents = append(contents, k.content)
	}
	s.files = now
	switch {
	case !slices.Contains(l.lost, s.dir): // what is wrong below it is somebody's slip
		s.staleSince = time.Time{}
	case s.staleSince.IsZero():
		s.staleSince = time.Now()
	}
	return s.difference(merge(contents), l.findings)
}

// file returns the file as it is, read again if it may have changed.
func (s *scanner) file(l *loader, name string) *cachedFile {
	before := s.files[name]
	info, err := os.Stat(name)
	if err == nil && before != nil && before.info != nil && !before.unsure && sameFile(before.info, info) {
		return before
	}
	k := &cachedFile{info: info}
	if err == nil {
		k.unsure = time.Since(info.ModTime()) < clockStep
		k.content = l.read(name)
	} else if !l.isLost(name) {
		l.fail(name, "cannot be read: %s", reason(err))
	}
	if k.content == nil {
		// loader has said why. Its finding lasts as long as the file is tried
		// again, which it is at every scan.
		k.info = nil
		k.content = &content{file: name, broken: true}
	}
	if before != nil {
		if err == nil && info.Size() == 0 && len(before.content.objects) > 0 {
			k.content.broken = true
			k.content.findings = append(k.content.findings, store.Finding{File: name,
				Message: "is empty: its objects stay in force; delete the file to remove them"})
			k.unsure = true
		}
		k.content.retain(before.content)
	}
	return k
}

func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// retain keeps the objects of the file's last state that its present one is
// wrong about.
func (c *content) retain(before *content) {
	holds := map[policy.Key]bool{}
	for _, o := range c.objects {
		holds[o.Key] = true
	}
	wrong := map[policy.Key]bool{}
	for _, f := range c.findings {
		if !f.Note {
			wrong[f.Key] = true
		}
	}
	for _, o := range before.objects {
		if !holds[o.Key] && (c.broken || wrong[o.Key]) {
			kept := *o
			kept.retained = true
			c.objects = append(c.objects, &kept)
			holds[o.Key] = true
		}
	}
}

// difference makes a batch of the step from what was sent to the present state.
func (s *scanner) difference(m Loaded, findings []store.Finding) (store.Batch, bool) {
	batch := store.Batch{Findings: append(findings, m.Findings...), StaleSince: s.staleSince}
	slices.SortStableFunc(batch.Findings, store.Finding.Compare)
	present := make(map[policy.Key]store.Resource, len(m.Resources))
	for _, r := range m.Resources {
		present[r.Key] = r
		if old, found := s.sent[r.Key]; !found || !sameResource(&old, &r) {
			batch.Updated = append(batch.Updated, r)
		}
	}
	for key := range s.sent {
		if _, found := present[key]; !found {
			batch.Deleted = append(batch.Deleted, key)
		}
	}
	slices.SortFunc(batch.Deleted, policy.Key.Compare)
	changed := len(batch.Updated) > 0 || len(batch.Deleted) > 0 || !slices.Equal(batch.Findings, s.lastFindings)
	s.sent, s.lastFindings = present, batch.Findings
	return batch, changed
}

// sameResource reports whether both are the same version at the same place.
func sameResource(a, b *store.Resource) bool {
	return a.Object == b.Object || reflect.DeepEqual(a.Object, b.Object) && reflect.DeepEqual(a.Origin, b.Origin)
}

// isLost reports whether the file is in a directory that could not be listed.
func (l *loader) isLost(name string) bool {
	return slices.ContainsFunc(l.lost, func(dir string) bool {
		return strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
	})
}
