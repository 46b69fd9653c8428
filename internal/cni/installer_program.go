package cni

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// installProgram puts the program into BinDir, if another one or none is there: the agent and
// the plugin are of one build, whichever it is.
func (i *Installer) installProgram() (changed bool, err error) {
	path := i.programPath()
	info, err := os.Lstat(path)
	switch {
	case err == nil && i.compared(info):
		return false, nil
	case err == nil && info.IsDir():
		return false, fmt.Errorf("%s: is a directory, where the program of the CNI plugin should be: move it away", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("program of the CNI plugin: %w", err)
	}
	if _, err := os.Stat(i.cfg.BinDir); errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%w: directory %s is not there", errNoNetwork, i.cfg.BinDir)
	}
	source, err := os.Open(i.cfg.Program)
	if err != nil {
		return false, fmt.Errorf("program of the CNI plugin: %w", err)
	}
	defer func() { _ = source.Close() }()
	same := false
	if info != nil && info.Mode().IsRegular() && info.Mode().Perm() == programMode {
		if same, err = sameContent(source, path); err != nil {
			return false, fmt.Errorf("program of the CNI plugin: %w", err)
		}
	}
	if !same {
		if err := copyProgram(source, path); err != nil {
			return false, fmt.Errorf("program of the CNI plugin: %w", err)
		}
	}
	if info, err = os.Lstat(path); err != nil {
		return false, fmt.Errorf("program of the CNI plugin: %w", err)
	}
	i.mu.Lock()
	i.program = info
	i.mu.Unlock()
	return !same, nil
}

const programMode = 0o755

func (i *Installer) programPath() string { return filepath.Join(i.cfg.BinDir, wire.PluginType) }

// compared reports whether the file is the one that was found to be right before.
func (i *Installer) compared(info os.FileInfo) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.program != nil && os.SameFile(i.program, info) && info.Size() == i.program.Size() &&
		info.ModTime().Equal(i.program.ModTime()) && info.Mode() == i.program.Mode()
}

func sameContent(source *os.File, path string) (bool, error) {
	installed, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = installed.Close() }()
	a, err := source.Stat()
	if err != nil {
		return false, err
	}
	b, err := installed.Stat()
	if err != nil || a.Size() != b.Size() {
		return false, err
	}
	x, y := bufio.NewReaderSize(source, 1<<20), bufio.NewReaderSize(installed, 1<<20)
	bx, by := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, errX := io.ReadFull(x, bx)
		m, errY := io.ReadFull(y, by)
		if !bytes.Equal(bx[:n], by[:m]) {
			return false, nil
		}
		switch {
		case errX == nil && errY == nil:
		case (errors.Is(errX, io.EOF) || errors.Is(errX, io.ErrUnexpectedEOF)) && errY != nil:
			return true, nil
		default:
			return false, errors.Join(errX, errY)
		}
	}
}

// copyProgram replaces the file by a new one: runtimes may be executing the old one.
func copyProgram(source *os.File, path string) error {
	if _, err := source.Seek(0, io.SeekStart); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), tmpPattern)
	if err != nil {
		if errors.Is(err, unix.EROFS) {
			return fmt.Errorf("%w: mount it writable in the agent's container, or do without the plugin", err)
		}
		return err
	}
	_, err = io.Copy(tmp, source)
	if err = errors.Join(err, tmp.Chmod(programMode), tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func (i *Installer) removeProgram() error {
	err := os.Remove(i.programPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("program of the CNI plugin: %w", err)
	}
	i.mu.Lock()
	i.program = nil
	i.mu.Unlock()
	return nil
}
