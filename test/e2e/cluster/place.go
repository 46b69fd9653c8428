package cluster

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// cacheVariable in the environment says where parts and running clusters are kept.
const cacheVariable = "TIERWALL_E2E_CACHE"

// ownDirs are directories that a node has of its own: what clusters need must lie elsewhere.
var ownDirs = []string{"/run", "/var/run", "/var/lib", "/var/log", "/etc", "/opt", "/proc", "/sys", "/dev"}

// cacheDir is the directory of everything that this package writes.
func cacheDir() (string, error) {
	dir := os.Getenv(cacheVariable)
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no place for the parts: %w (or say one in $%s)", err, cacheVariable)
		}
		dir = filepath.Join(base, "tierwall-e2e")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	for _, own := range ownDirs {
		if strings.HasPrefix(dir+"/", own+"/") {
			return "", fmt.Errorf("$%s: %s is below %s, which nodes have of their own: say a place elsewhere", cacheVariable, dir, own)
		}
	}
	return dir, nil
}

// moduleDir is the directory of this module's sources, test/e2e.
func moduleDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("the sources of the parts are not known: build without -trimpath")
	}
	dir := filepath.Dir(filepath.Dir(file))
	if !exists(filepath.Join(dir, "parts", "go.mod")) {
		return "", fmt.Errorf("the sources of the parts are not in %s any more: build this program again", dir)
	}
	return dir, nil
}

// partsVersion names the parts by all that they are made from.
func partsVersion(module string) (string, error) {
	sum := sha256.New()
	// A hash takes everything: its errors need no look.
	_, _ = fmt.Fprintln(sum, runtime.Version(), runtime.GOARCH)
	for _, root := range []string{"parts", "internal/keeper", "cmd/keeper", "cluster/recipe.go", "cluster/images.go"} {
		err := filepath.WalkDir(filepath.Join(module, root), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			_, _ = fmt.Fprintf(sum, "%s %d\n%s", path[len(module):], len(content), content)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:6]), nil
}

// lockFile waits for an exclusive lock, which ends with the process or by unlock.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}
