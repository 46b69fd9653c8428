package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is a page of documentation, in Markdown.
type page struct {
	path  string
	prose []string // lines without those of code
	code  []string // lines of code, those that end with a backslash joined to the next
}

// pages reads all pages of the repository, which is the working directory then.
func pages(t *testing.T) []page {
	t.Helper()
	t.Chdir("../..")
	var all []page
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "dist" || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		all = append(all, parsePage(path, string(text)))
		return nil
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("%d pages, %v", len(all), err)
	}
	return all
}

// parsePage tells code, which is fenced, or indented after an empty line, from prose.
func parsePage(path, text string) page {
	p := page{path: path}
	fenced, indented, empty := false, false, true
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		code, isIndented := strings.CutPrefix(line, "    ")
		indented = isIndented && (indented || empty) || line == "" && indented
		empty = line == ""
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
		case !fenced && !indented:
			p.prose = append(p.prose, line)
		default:
			if !indented {
				code = line
			}
			if n := len(p.code); n > 0 && strings.HasSuffix(p.code[n-1], `\`) {
				p.code[n-1] = strings.TrimSuffix(p.code[n-1], `\`) + strings.TrimSpace(code)
			} else {
				p.code = append(p.code, code)
			}
		}
	}
	return p
}

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	spanPattern    = regexp.MustCompile("`([^`]+)`")
	headingPattern = regexp.MustCompile(`^#{1,6} +(.*)$`)
	notInAnchor    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	linkText       = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors returns those that a page's headings have, as GitHub makes them.
func (p page) anchors() []string {
	var all []string
	for _, line := range p.prose {
		m := headingPattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		text := linkText.ReplaceAllString(m[1], "$1")
		slug := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
		all = append(all, slug)
	}
	return all
}

// TestDocLinks: what pages link to is there, headings included.
func TestDocLinks(t *testing.T) {
	all := pages(t)
	links, linked := 0, map[string]bool{}
	for _, p := range all {
		for _, line := range p.prose {
			for _, m := range linkPattern.FindAllStringSubmatch(spanPattern.ReplaceAllString(line, ""), -1) {
				target, anchor, _ := strings.Cut(m[1], "#")
				if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					continue
				}
				links++
				path := p.path
				if target != "" {
					path = filepath.Join(filepath.Dir(p.path), target)
				}
				if _, err := os.Stat(path); err != nil {
					t.Errorf("%s: links to %s, which is not there", p.path, m[1])
					continue
				}
				if linked[path] = true; anchor == "" {
					continue
				}
				i := slices.IndexFunc(all, func(x page) bool { return x.path == path })
				if i < 0 || !slices.Contains(all[i].anchors(), anchor) {
					t.Errorf("%s: links to %s: %s has no such heading", p.path, m[1], path)
				}
			}
		}
	}
	for _, p := range all {
		if filepath.Dir(p.path) == "docs" && !linked[p.path] {
			t.Errorf("no page links to %s", p.path)
		}
	}
	if links < 50 {
		t.Errorf("only %d links found", links)
	}
}

// repoPath is a path that begins in a folder of this repository.
var repoPath = regexp.MustCompile(`(?:^|[\s'"=(:])((?:examples|charts|deploy|docs|test|internal|tools|cmd|config/crd|\.ci)/[A-Za-z0-9_*./-]*)`)

// TestDocFiles: files of this repository that samples and pages name are there.
func TestDocFiles(t *testing.T) {
	named := 0
	for _, p := range pages(t) {
		texts := slices.Clone(p.code)
		for _, line := range p.prose {
			for _, m := range spanPattern.FindAllStringSubmatch(line, -1) {
				texts = append(texts, m[1])
			}
		}
		for _, text := range texts {
			for _, m := range repoPath.FindAllStringSubmatch(text, -1) {
				named++
				path := strings.TrimRight(m[1], ".")
				// From the root, or, as links are, from where the page is.
				found, _ := filepath.Glob(path)
				beside, _ := filepath.Glob(filepath.Join(filepath.Dir(p.path), path))
				if len(found)+len(beside) == 0 {
					t.Errorf("%s: there is no %s", p.path, path)
				}
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d files found", named)
	}
}
