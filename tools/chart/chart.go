// Package chart renders the Helm chart, as helm template does.
package chart

import (
	"fmt"
	"regexp"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"
)

// Names that the documentation uses.
const (
	Release   = "tierwall"
	Namespace = "tierwall-system"
)

// Rendered is what a chart comes to with some values.
type Rendered struct {
	Manifest string            // everything but hooks, in the order of installation
	Hooks    map[string]string // by the path of the template
	Notes    string
}

// Render renders the chart in dir with values, given as YAML, without a cluster.
func Render(dir, values string) (*Rendered, error) {
	c, err := loader.Load(dir)
	if err != nil {
		return nil, err
	}
	var v map[string]any
	if err := yaml.UnmarshalStrict([]byte(values), &v); err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	install := action.NewInstall(&action.Configuration{})
	install.ReleaseName, install.Namespace = Release, Namespace
	install.DryRun, install.ClientOnly = true, true
	install.KubeVersion = &chartutil.KubeVersion{Version: "v1.36.0", Major: "1", Minor: "36"}
	r, err := install.Run(c, v)
	if err != nil {
		return nil, err
	}
	out := &Rendered{Manifest: strings.TrimSpace(r.Manifest) + "\n", Hooks: map[string]string{}, Notes: r.Info.Notes}
	for _, h := range r.Hooks {
		out.Hooks[h.Path] += "---\n" + strings.TrimSpace(h.Manifest) + "\n"
	}
	return out, nil
}

// helmOnly are the lines that say that Helm has installed something.
var helmOnly = regexp.MustCompile(`(?m)^ *(app\.kubernetes\.io/managed-by: Helm|helm\.sh/chart: .*)\n`)

// WithoutHelm takes out of a manifest what is true of a Helm release only.
func WithoutHelm(manifest string) string {
	manifest = helmOnly.ReplaceAllString(manifest, "")
	return strings.TrimPrefix(manifest, "---\n")
}
