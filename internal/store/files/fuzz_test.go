package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
)

// FuzzLoad reads and translates any text. Nothing may make it fail, hang or
// say something about a line that is not there.
func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"../../translate/testdata/articles"} {
		names, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil {
				f.Add(string(text))
			}
		}
	}
	f.Add(tier("a") + "---\n{\"kind\": [")
	f.Add("{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":[{\"metadata\":{\"name\":\"a\"},\"status\":{\"podIP\":\"::1\"}}]}")
	f.Add("a: &a\n  <<: [*a, {b: *a}]\nkind: Pod\napiVersion: v1\nmetadata: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		resources, findings := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(text)})
		_, _, more := translate.Load(resources, translate.Options{Offline: true})
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 2
		for _, finding := range append(findings, more...) {
			if finding.Line < 0 || finding.Line > lines || finding.Message == "" {
				t.Errorf("of %d lines: %+v", lines, finding)
			}
		}
		// As an agent, which has seen something valid before.
		translate.New(translate.Options{}).Apply(store.Batch{Updated: resources, Findings: findings})
	})
}
