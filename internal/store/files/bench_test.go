package files_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/store/files/dumptest"
	"github.com/tierwall/tierwall/internal/translate"
)

// BenchmarkLoad reads the dump of 5,000 pods, translates it, and has the library that parses
// it parse it alone.
func BenchmarkLoad(b *testing.B) {
	for _, form := range []string{"yaml", "json"} {
		var dump strings.Builder
		if _, err := (dumptest.Dump{Pods: 5_000, JSON: form == "json"}).WriteTo(&dump); err != nil {
			b.Fatal(err)
		}
		text := dump.String()
		path := filepath.Join(b.TempDir(), "dump."+form)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		b.Run("library/"+form, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				var node yaml.Node
				var value any
				err := error(nil)
				if form == "json" {
					err = json.Unmarshal([]byte(text), &value)
				} else {
					err = yaml.Unmarshal([]byte(text), &node)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("read/"+form, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, findings := files.Load([]string{path}, files.Options{}); len(findings) > 0 {
					b.Fatal(findings[0])
				}
			}
		})
		resources, _ := files.Load([]string{path}, files.Options{})
		b.Run("translate/"+form, func(b *testing.B) {
			b.ReportMetric(float64(len(resources)), "objects")
			b.ReportAllocs()
			for b.Loop() {
				if loaded := translate.Load(resources, nil, translate.Options{Offline: true}); len(loaded.Findings) > 0 {
					b.Fatal(loaded.Findings[0])
				}
			}
		})
	}
}
