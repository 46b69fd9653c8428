package files

import (
	"path/filepath"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
)

// kustomizeGroup is the group of what kustomize reads.
const kustomizeGroup = "kustomize.config.k8s.io"

// isKustomization reports whether a file is one by its name, whatever it says of itself.
func isKustomization(file string) bool {
	switch strings.ToLower(filepath.Base(file)) {
	case "kustomization.yaml", "kustomization.yml":
		return true
	}
	return false
}

// kustomization warns that what lies beside the file is not what is applied.
func (b *builder) kustomization(line int) {
	b.findings = append(b.findings, store.Finding{File: b.file, Line: line, Note: true, Warning: true,
		Message: "kustomize is not run: the files are read as they are, without its patches, prefixes and namespace; to read what it makes of them: kustomize build DIRECTORY | tierwall COMMAND -f -"})
}
