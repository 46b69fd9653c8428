package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Parts are the programs and images that clusters are made of, as files.
type Parts struct {
	dir string
}

// keptVersions is how many versions of the parts stay in the cache.
const keptVersions = 2

// Program is the path of a program: "kubectl", "ctr", "etcd", ...
func (p *Parts) Program(name string) string { return filepath.Join(p.dir, "bin", name) }

// images is the directory of the image archives that every node imports.
func (p *Parts) images() string { return filepath.Join(p.dir, "images") }

// Build makes the parts, or finds them made: they are kept below
// $TIERWALL_E2E_CACHE (without it, tierwall-e2e in the user's cache directory), under a
// name that says which versions they are of. It takes minutes the first time, and
// says on progress what it does, with the seconds that each step took.
//
// It installs nothing on the machine: if Debian packages are missing, the error
// names them.
func Build(ctx context.Context, progress io.Writer) (*Parts, error) {
	return build(ctx, progress, "cluster", buildCluster)
}

// BuildSuite is Build for the upstream test suite as well: the programs "ginkgo" and
// "e2e.test".
func BuildSuite(ctx context.Context, progress io.Writer) (*Parts, error) {
	if _, err := Build(ctx, progress); err != nil {
		return nil, err
	}
	return build(ctx, progress, "suite", buildSuite)
}

// building keeps this process from building twice at once; the lock file is for other
// processes.
var building sync.Mutex

// build makes a group of parts by its recipe, if it is not there.
func build(ctx context.Context, progress io.Writer, group string, make func(recipe) error) (*Parts, error) {
	building.Lock()
	defer building.Unlock()
	if err := requirements(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	module, err := moduleDir()
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	version, err := partsVersion(module)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	p := &Parts{dir: filepath.Join(cache, "parts", version)}
	done := filepath.Join(p.dir, group+".done")
	if exists(done) {
		return p, nil
	}
	unlock, err := lockFile(filepath.Join(cache, "build.lock"))
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	defer unlock()
	if exists(done) {
		return p, nil
	}
	for _, d := range []string{filepath.Join(p.dir, "bin"), p.images()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
	}
	if err := make(recipe{ctx, p, module, progress}); err != nil {
		return nil, fmt.Errorf("cluster: build the parts: %w", err)
	}
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return p, prune(filepath.Dir(p.dir), keptVersions, func(string) bool { return clustersUp(cache) })
}

// clustersUp reports whether clusters may be up, of whatever version.
func clustersUp(cache string) bool {
	dirs, err := filepath.Glob(filepath.Join(cache, "run", "*"))
	return err != nil || len(dirs) > 0
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// prune removes all but the newest directories in dir, and those that are in use.
func prune(dir string, keep int, inUse func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	age := func(e os.DirEntry) time.Time {
		if info, err := e.Info(); err == nil {
			return info.ModTime()
		}
		return time.Time{}
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return age(b).Compare(age(a)) })
	for _, e := range entries[min(keep, len(entries)):] {
		if inUse(e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
