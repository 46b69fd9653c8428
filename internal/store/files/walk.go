package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What is in a directory is read, or said to be passed over: nothing that looks like a manifest
// is left out in silence. Links are followed, to files and to directories.

// walkAll adds the manifests of a directory and of those in it, by name, and then those of the
// directories that links in it lead to. Each directory is walked once.
func (l *loader) walkAll(dir string, add func(string)) {
	l.walked, l.links = map[string]string{}, []string{dir}
	for len(l.links) > 0 {
		next := l.links[0]
		l.links = l.links[1:]
		l.walk(next, add)
	}
}

func (l *loader) walk(dir string, add func(string)) {
	place, err := filepath.EvalSymlinks(dir)
	if err != nil {
		l.lose(dir, "cannot be read: %s", reason(err))
		return
	}
	if first, walked := l.walked[place]; walked {
		l.note(dir, "passed over: it is the directory that is read as %s", first)
		return
	}
	l.walked[place] = dir
	if l.enter != nil {
		l.enter(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.lose(dir, "cannot be read: %s", reason(err))
	}
	for _, entry := range entries {
		l.walkEntry(filepath.Join(dir, entry.Name()), entry, add)
	}
}

// walkEntry adds what one entry of a directory holds.
func (l *loader) walkEntry(name string, entry fs.DirEntry, add func(string)) {
	mode := entry.Type()
	hidden := strings.HasPrefix(entry.Name(), ".")
	if mode&fs.ModeSymlink != 0 && !hidden {
		info, err := os.Stat(name)
		if err != nil {
			l.lose(name, "is a broken link: %s", reason(err)) // it may have led to a directory
			return
		}
		mode = info.Mode().Type()
	}
	switch {
	case hidden:
		if !isOthers(entry) {
			l.note(name, "passed over: it is hidden, since its name begins with a dot")
		}
	case mode.IsDir() && entry.IsDir():
		l.walk(name, add)
	case mode.IsDir():
		l.links = append(l.links, name)
	case !isManifestName(name):
		if almostManifest.MatchString(entry.Name()) {
			l.note(name, "passed over: its name does not end in .yaml, .yml or .json")
		}
	case !mode.IsRegular():
		l.note(name, "passed over: it is no regular file")
	default:
		add(name)
	}
}

// lose notes that a directory, or what may be one, cannot be read: what is in it is unknown, not gone.
func (l *loader) lose(dir, format string, args ...any) {
	l.fail(dir, format, args...)
	l.lost = append(l.lost, dir)
}

// isOthers reports whether a hidden entry is known to hold nothing that its user means to be read: the
// directories of version control, the "..data" of a mounted ConfigMap and what it leads to, which hold the
// files beside them once more, and hidden files that are no manifests.
func isOthers(entry fs.DirEntry) bool {
	name := entry.Name()
	switch isFile := entry.Type().IsRegular(); {
	case isFile:
		return !isManifestName(name) && !almostManifest.MatchString(name)
	case strings.HasPrefix(name, ".."):
		return true
	}
	return slices.Contains([]string{".git", ".hg", ".svn", ".jj", ".bzr"}, name)
}

// almostManifest matches the names of manifests with something after them: x.yaml.new, x.yaml~.
var almostManifest = regexp.MustCompile(`(?i)\.(ya?ml|json)[^a-z0-9]`)

func isManifestName(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}
