package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
)

// bigDump writes the YAML or JSON of a cluster's dump, of about that size.
func bigDump(size int, json bool) string {
	var b strings.Builder
	pod := `- apiVersion: v1
  kind: Pod
  metadata:
    labels:
      app: app-%[2]d
      team: team-%[3]d
    name: app-%[2]d-%[1]d
    namespace: ns-%[3]d
    uid: 6d2c4c3e-0000-4000-8000-%012[1]d
  spec:
    containers:
    - image: registry.example/app:1.2.3
      name: app
      ports:
      - containerPort: 8080
        name: http
        protocol: TCP
      resources:
        limits:
          cpu: 500m
          memory: 512Mi
    nodeName: node-%[3]d
    serviceAccountName: default
  status:
    phase: Running
    podIP: 10.%[4]d.%[5]d.%[6]d
    podIPs:
    - ip: 10.%[4]d.%[5]d.%[6]d
`
	if json {
		pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"app":"app-%[2]d","team":"team-%[3]d"},"name":"app-%[2]d-%[1]d","namespace":"ns-%[3]d"},` +
			`"spec":{"containers":[{"image":"registry.example/app:1.2.3","name":"app","ports":[{"containerPort":8080,"name":"http","protocol":"TCP"}]}],` +
			`"nodeName":"node-%[3]d","serviceAccountName":"default"},"status":{"phase":"Running","podIP":"10.%[4]d.%[5]d.%[6]d"}},` + "\n"
		b.WriteString(`{"apiVersion":"v1","kind":"List","items":[` + "\n")
	} else {
		b.WriteString("apiVersion: v1\nkind: List\nitems:\n")
	}
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, pod, i, i%500, i%50, i>>16&255, i>>8&255, i&255)
	}
	if json {
		return strings.TrimSuffix(b.String(), ",\n") + "]}"
	}
	return b.String()
}

// BenchmarkLoad reads 10 MB, and translates them.
func BenchmarkLoad(b *testing.B) {
	for _, form := range []string{"yaml", "json"} {
		text := bigDump(10<<20, form == "json")
		path := filepath.Join(b.TempDir(), "dump."+form)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
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
