package cni

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxConf is how many bytes of a configuration are read. conflist refuses those that are
// so long.
const maxConf = 2 << 20

// tmpPattern names files that no runtime takes for a configuration or a plugin.
const tmpPattern = ".tierwall-*.tmp"

// read reads a regular file as a whole.
func read(path string) ([]byte, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: is no regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxConf))
	return b, info, err
}

// maxRaces is how often a file may change while it is changed.
const maxRaces = 5

// change replaces a file by what edit makes of its content, or leaves it if that is the same. What
// another program writes at the same moment is not lost: the new file and the old one
// change places, and if the old one turns out to be another than was read, it is
// put back and edited anew.
func change(path string, edit func([]byte) ([]byte, error)) (changed bool, err error) {
	if path, err = inPlace(path); err != nil {
		return false, err
	}
	for range maxRaces {
		text, info, err := read(path)
		if err != nil {
			return false, err
		}
		edited, err := edit(text)
		if err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		if bytes.Equal(edited, text) {
			return false, nil
		}
		done, err := replace(path, text, edited, info)
		if err != nil || done {
			return done, err
		}
	}
	return false, fmt.Errorf("%s: another program writes it all the time", path)
}

// replace puts edited in the place of a file, if its content is still text.
func replace(path string, text, edited []byte, like os.FileInfo) (done bool, err error) {
	tmp, err := create(filepath.Dir(path), edited, like)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(tmp) }()
	err = exchange(tmp, path)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		// A file system that cannot: the moment between these two is the risk.
		if now, _, err := read(path); err != nil || !bytes.Equal(now, text) {
			return false, err
		}
		if err := os.Rename(tmp, path); err != nil {
			return false, err
		}
		return true, syncDir(filepath.Dir(path))
	}
	if err != nil {
		return false, err
	}
	if before, _, err := read(tmp); err == nil && bytes.Equal(before, text) {
		return true, syncDir(filepath.Dir(path))
	}
	if err := exchange(tmp, path); err != nil {
		return false, err
	}
	if now, _, err := read(tmp); err == nil && !bytes.Equal(now, edited) {
		// It was written once more since, and that is the newest.
		return false, exchange(tmp, path)
	}
	return false, nil
}

// exchange lets two files change places, at once.
func exchange(a, b string) error {
	if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("replace %s: %w", b, err)
	}
	return nil
}

// inPlace follows symbolic links within the directory. A file elsewhere is not for
// us to replace: within a container the path may be another one than on the host.
func inPlace(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if filepath.Dir(real) != dir {
		return "", fmt.Errorf("%s: is a link to %s, out of its directory: name the directory that it is in as the directory of CNI configurations", path, real)
	}
	return real, nil
}

// write makes or replaces a file as a whole.
func write(path string, content []byte, like os.FileInfo) error {
	tmp, err := create(filepath.Dir(path), content, like)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// create makes a file of a name that nobody uses, with mode and owner of another one, and
// on the disk.
func create(dir string, content []byte, like os.FileInfo) (path string, err error) {
	f, err := os.CreateTemp(dir, tmpPattern)
	if err != nil {
		if errors.Is(err, unix.EROFS) {
			return "", fmt.Errorf("%w: mount it writable in the agent's container, or do without the plugin", err)
		}
		return "", err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(like.Mode().Perm()))
	if owner, ok := like.Sys().(*syscall.Stat_t); ok {
		err = errors.Join(err, f.Chown(int(owner.Uid), int(owner.Gid)))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("write a file in %s: %w", dir, err)
	}
	return f.Name(), nil
}

// syncDir makes renames in a directory outlive a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
