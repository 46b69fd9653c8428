package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/manifest"
	"github.com/tierwall/tierwall/policy"
)

// FuzzParse reads any text. What comes of it decides connections, and every finding
// speaks of a line that is there.
func FuzzParse(f *testing.F) {
	names, _ := filepath.Glob("../examples/*/*.yaml")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range []string{broken, pod, emptyPeer, ciliumPolicy, pod + "---\n" + ciliumPolicy, `{"kind": "List", "apiVersion": "v1", "items": [null, {}]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		m, err := manifest.Parse("m.yaml", []byte(text), manifest.Options{SkipInvalid: true})
		if err != nil {
			t.Fatalf("invalid objects are to be skipped: %v", err)
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 2
		for _, finding := range m.Findings {
			if finding.Line < 0 || finding.Line > lines || finding.Message == "" {
				t.Errorf("of %d lines: %s", lines, finding)
			}
		}
		e := evaluate.New(m.Model)
		for _, src := range m.Model.Endpoints {
			for _, dst := range m.Model.Endpoints {
				if len(src.Addrs) > 0 && len(dst.Addrs) > 0 && src.Addrs[0].BitLen() == dst.Addrs[0].BitLen() {
					e.Evaluate(policy.Flow{Src: src.Addrs[0], Dst: dst.Addrs[0], Protocol: policy.TCP, SrcPort: 50000, DstPort: 80})
				}
			}
		}
	})
}
