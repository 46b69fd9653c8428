// Command manifests brings up to date what is made from other files of the
// repository: the chart's copies of the CustomResourceDefinitions, and the plain
// manifests in deploy/. With -check it changes nothing, and fails if anything is
// not up to date. With -values it only prints deploy/install.yaml as it would be with
// further values of the chart, for tests.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/tierwall/tierwall/tools/chart"
)

func main() {
	root := flag.String("root", "..", "the repository")
	check := flag.Bool("check", false, "change nothing, fail if something is not up to date")
	more := flag.String("values", "", "print the manifest with these values, as YAML, and do nothing else")
	flag.Parse()
	if *more != "" {
		r, err := chart.Render(filepath.Join(*root, "charts/tierwall"), values+*more)
		if err != nil {
			fmt.Fprintln(os.Stderr, "manifests:", err)
			os.Exit(1)
		}
		fmt.Print(chart.WithoutHelm(r.Manifest))
		return
	}
	stale, err := update(*root, !*check)
	if err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
	for _, path := range stale {
		fmt.Println(path)
	}
	if *check && len(stale) > 0 {
		fmt.Fprintln(os.Stderr, "manifests: not up to date: run make manifests")
		os.Exit(1)
	}
}

// values of deploy/install.yaml. It has no one who cleans before it is deleted:
// the agents notice that the namespace ends.
const values = `
namespace: {create: true}
crds: {install: always, keep: false}
cleanup: {enabled: false}
`

const header = `# tierwall, all of it. Made from charts/tierwall by "make manifests": do not edit.
#
#   kubectl apply --server-side -f install.yaml
#   kubectl delete -f install.yaml        deletes all policies of projectcalico.org too
#
# docs/install.md says more.
---
`

// update compares, and writes if write is set. It gives the paths, within the
// repository, of what was not up to date.
func update(root string, write bool) (stale []string, err error) {
	want := map[string][]byte{} // nil: must not exist
	crds, err := filepath.Glob(filepath.Join(root, "config/crd/*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(crds) == 0 {
		return nil, fmt.Errorf("no CustomResourceDefinitions in config/crd")
	}
	const copies = "charts/tierwall/files/crds"
	old, err := filepath.Glob(filepath.Join(root, copies, "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		want[filepath.Join(copies, filepath.Base(path))] = nil
	}
	for _, path := range crds {
		if want[filepath.Join(copies, filepath.Base(path))], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	stale, err = apply(root, want, write)
	if err != nil {
		return nil, err
	}
	// The chart is rendered as it is now: with -check this finds both or neither.
	r, err := chart.Render(filepath.Join(root, "charts/tierwall"), values)
	if err != nil {
		return nil, err
	}
	if len(r.Hooks) > 0 {
		return nil, fmt.Errorf("hooks mean nothing to kubectl: %d of them in deploy/install.yaml", len(r.Hooks))
	}
	more, err := apply(root, map[string][]byte{
		"deploy/install.yaml": []byte(header + chart.WithoutHelm(r.Manifest)),
	}, write)
	return append(stale, more...), err
}

func apply(root string, want map[string][]byte, write bool) (stale []string, err error) {
	for path, data := range want {
		full := filepath.Join(root, path)
		have, err := os.ReadFile(full)
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		if exists := err == nil; exists == (data != nil) && bytes.Equal(have, data) {
			continue
		}
		stale = append(stale, path)
		switch {
		case !write:
			continue
		case data == nil:
			err = os.Remove(full)
		default:
			if err = os.MkdirAll(filepath.Dir(full), 0o755); err == nil {
				err = os.WriteFile(full, data, 0o644)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(stale)
	return stale, nil
}
