package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
)

// stdinPath is the path that stands for standard input, stdinName how findings
// call it.
const (
	stdinPath = "-"
	stdinName = "<stdin>"
)

// loader reads files.
type loader struct {
	opts     Options
	left     int64 // bytes that may still be read
	findings []store.Finding
	enter    func(dir string)  // if not nil, called before a directory is listed
	lost     []string          // directories that could not be listed
	links    []string          // to directories, that are to be walked yet
	walked   map[string]string // by where directories are, without links: the path by which each was walked
}

// fail notes that a file or directory cannot be read.
func (l *loader) fail(file, format string, args ...any) {
	l.findings = append(l.findings, store.Finding{File: file, Message: fmt.Sprintf(format, args...), Unreadable: true})
}

func (l *loader) note(file, format string, args ...any) {
	l.findings = append(l.findings, store.Finding{File: file, Message: fmt.Sprintf(format, args...), Note: true})
}

// expand returns the files of the paths, each once.
func (l *loader) expand(paths []string) []string {
	var out []string
	seen := map[string]bool{}
	add := func(name string) {
		if clean := filepath.Clean(name); !seen[clean] {
			seen[clean] = true
			out = append(out, name)
		}
	}
	for _, path := range paths {
		if path == stdinPath {
			add(path)
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil && isURL(path):
			l.fail(path, "is a URL, and nothing is fetched: expected a file or directory; curl -fsSL URL | tierwall COMMAND -f - reads what is there")
		case err != nil:
			l.fail(path, "cannot be read: %s", reason(err))
		case info.IsDir():
			before := len(out)
			l.walkAll(path, add)
			if len(out) == before {
				l.note(path, "holds no .yaml, .yml or .json files")
			}
		default:
			add(path)
		}
	}
	return out
}

func isURL(path string) bool {
	scheme, rest, found := strings.Cut(path, "://")
	return found && rest != "" && !strings.ContainsAny(scheme, "/.")
}

// reason returns the cause of an error of a file, without the path.
func reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

// read reads and parses one file; nil if it cannot be read.
func (l *loader) read(name string) *content {
	text, err := l.text(name)
	if name == stdinPath {
		name = stdinName
	}
	if err != nil {
		l.fail(name, "cannot be read: %s", reason(err))
		return nil
	}
	return parseContent(name, text, &l.opts)
}

// text reads one file, within what may still be read.
func (l *loader) text(name string) ([]byte, error) {
	from := l.opts.Stdin
	if name == stdinPath {
		if from == nil {
			return nil, errors.New("there is no standard input")
		}
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	var buffer bytes.Buffer
	if f, ok := from.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			buffer.Grow(int(min(info.Size(), l.left)) + bytes.MinRead)
		}
	}
	if _, err := buffer.ReadFrom(io.LimitReader(from, l.left+1)); err != nil {
		return nil, err
	}
	text := buffer.Bytes()
	if int64(len(text)) > l.left {
		return nil, fmt.Errorf("the files are larger than %d MiB together", l.opts.maxBytes()>>20)
	}
	l.left -= int64(len(text))
	return text, nil
}
