package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/deepcopy"
	"sigs.k8s.io/controller-tools/pkg/genall"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/controller-tools/pkg/markers"
)

// apis are the packages that it is generated from, in the main module.
var apis = []string{"./api/..."}

// Generate returns the generated files, with their paths in the main module, whose
// directory is root.
func Generate(root string) (map[string][]byte, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	var crds genall.Generator = definitions{crd.Generator{AllowDangerousTypes: new(true), OmitToolVersion: new(true)}}
	var copies genall.Generator = deepcopy.Generator{}
	generators := genall.Generators{&crds, &copies}
	runtime, err := generators.ForRootsWithConfig(&packages.Config{Dir: root}, apis...)
	if err != nil {
		return nil, err
	}
	files := output{root: root, dir: filepath.Join("config", "crd"), files: map[string]*file{}}
	runtime.OutputRules.Default = files
	if runtime.Run() {
		return nil, errors.New("see the errors above")
	}
	out := map[string][]byte{}
	for path, f := range files.files {
		out[path] = []byte(f.String())
	}
	// Whoever may write WorkloadEndpoints says which labels an address has. In a
	// cluster that is not for the users of a namespace: they are read from files only.
	delete(out, filepath.Join(files.dir, "projectcalico.org_workloadendpoints.yaml"))
	staged := filepath.Join(files.dir, "projectcalico.org_stagedkubernetesnetworkpolicies.yaml")
	out[staged], err = tightened(out[staged], kubernetes)
	return out, err
}

// Write writes the files below root, and removes definitions of kinds that are gone.
func Write(root string) error {
	files, err := Generate(root)
	if err != nil {
		return err
	}
	return write(root, files)
}

func write(root string, files map[string][]byte) error {
	old, err := filepath.Glob(filepath.Join(root, "config", "crd", "*.yaml"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if rel, err := filepath.Rel(root, path); err == nil && files[rel] == nil {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for path, content := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// definitions generates CustomResourceDefinitions; it knows our marker as well.
type definitions struct{ crd.Generator }

func (d definitions) RegisterMarkers(into *markers.Registry) error {
	if err := d.Generator.RegisterMarkers(into); err != nil {
		return err
	}
	return registerSchema(into)
}

// output keeps generated files: those that belong to a package in its directory,
// the others in dir.
type output struct {
	root, dir string
	files     map[string]*file
}

// Open makes a file; it is an OutputRule of controller-gen.
func (o output) Open(pkg *loader.Package, name string) (io.WriteCloser, error) {
	path := filepath.Join(o.dir, name)
	if pkg != nil {
		rel, err := filepath.Rel(o.root, filepath.Dir(pkg.CompiledGoFiles[0]))
		if err != nil {
			return nil, err
		}
		path = filepath.Join(rel, name)
	}
	f := &file{}
	o.files[path] = f
	return f, nil
}

// file is a file in memory.
type file struct{ strings.Builder }

func (*file) Close() error { return nil }
