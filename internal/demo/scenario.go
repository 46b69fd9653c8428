package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/suggest"
)

// Scenario is one folder of examples/.
type Scenario struct {
	Name      string
	Expected  *Expected
	Resources []store.Resource // its manifests
	Change    []store.Resource // those of Expected.Then
}

// begin are the scenarios that tell what all this is about.
var begin = []string{"redis", "tiers"}

// Names lists the scenarios in a directory of them: those that others build on, then all
// others in alphabetical order.
func Names(fsys fs.FS) ([]string, error) {
	matches, err := fs.Glob(fsys, "*/expected.yaml")
	if err != nil {
		return nil, err
	}
	names := make([]string, len(matches))
	for i, m := range matches {
		names[i] = path.Dir(m)
	}
	rest := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(begin, n) })
	first := slices.DeleteFunc(slices.Clone(begin), func(n string) bool { return !slices.Contains(names, n) })
	return append(first, rest...), nil
}

// Load reads one scenario. An unknown name is an error that says what was
// probably meant and what there is.
func Load(fsys fs.FS, name string) (*Scenario, error) {
	names, err := Names(fsys)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(names, name) {
		return nil, fmt.Errorf("unknown scenario %q%s\nThere are: %s",
			name, suggest.DidYouMean(name, names), strings.Join(names, ", "))
	}
	s := &Scenario{Name: name}
	data, err := fs.ReadFile(fsys, path.Join(name, "expected.yaml"))
	if err != nil {
		return nil, err
	}
	if s.Expected, err = parseExpected(data); err != nil {
		return nil, fmt.Errorf("%s/expected.yaml: %w", name, err)
	}
	manifests, err := fs.Glob(fsys, path.Join(name, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var all strings.Builder
	for _, m := range manifests {
		if path.Base(m) == "expected.yaml" {
			continue
		}
		data, err := fs.ReadFile(fsys, m)
		if err != nil {
			return nil, err
		}
		all.WriteString("---\n")
		all.Write(data)
	}
	if s.Resources, err = parse(all.String()); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	if s.Expected.Then != nil {
		if s.Change, err = parse(s.Expected.Then.Apply); err != nil {
			return nil, fmt.Errorf("%s/expected.yaml: then.apply: %w", name, err)
		}
	}
	return s, nil
}

// parse reads manifests that are no file of their own.
func parse(text string) ([]store.Resource, error) {
	resources, findings := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(text)})
	var errs []error
	for _, f := range findings {
		if !f.Note {
			errs = append(errs, f)
		}
	}
	return resources, errors.Join(errs...)
}
