package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where the agent listens, unless told otherwise.
const DefaultSocket = "/run/tierwall/cni.sock"

// Record is a pod that has started and not ended.
type Record struct {
	Pod
	// Since is when it was added.
	Since time.Time `json:"since"`
	// Late is true of a pod that started although its policy was not in the kernel
	// in time, as its network's configuration allows.
	Late bool `json:"late,omitempty"`
}

// recordVersion is that of the files. A file of another version is left alone.
const recordVersion = 1

type recordFile struct {
	Version int `json:"version"`
	Record
}

// Dir is a directory of records, a file each. It is below /run: what is there belongs
// to pods that have started since the host did. The agent and plugins
// write it, each file as a whole.
type Dir string

const (
	recordSuffix = ".json"
	tmpPrefix    = ".new-"
	maxRecord    = 64 << 10 // bytes of a file
)

// RecordsDir returns the directory that belongs to a socket.
func RecordsDir(socket string) Dir {
	if dir, ok := strings.CutSuffix(socket, ".sock"); ok && !strings.HasSuffix(dir, "/") {
		return Dir(dir)
	}
	return Dir(socket + ".records")
}

// file is the record's path. Neither part of an Attachment that was checked has a
// colon or a slash.
func (d Dir) file(a Attachment) string {
	return filepath.Join(string(d), a.Container+":"+a.Interface+recordSuffix)
}

// Make makes the directory if it is not there.
func (d Dir) Make() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("directory of pod records: %w", err)
	}
	return nil
}

// Made reports whether the directory is there: an agent has run since the host started.
func (d Dir) Made() bool {
	info, err := os.Stat(string(d))
	return err == nil && info.IsDir()
}

// Write writes or replaces a record. It is there as a whole or not at all. Nothing
// is forced to a disk: the directory is in memory.
func (d Dir) Write(r Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	b, err := json.Marshal(recordFile{recordVersion, r})
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(string(d), tmpPrefix) // mode 0600
	if err != nil {
		return fmt.Errorf("record of pod %s: %w", r.PodID, err)
	}
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), d.file(r.Attachment))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("record of pod %s: %w", r.PodID, err)
	}
	return nil
}

// Remove removes a record. It is no error if there is none.
func (d Dir) Remove(a Attachment) error {
	if err := a.Check(); err != nil {
		return err
	}
	if err := os.Remove(d.file(a)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// Has reports whether there is a record of an attachment.
func (d Dir) Has(a Attachment) bool {
	_, err := os.Lstat(d.file(a))
	return err == nil
}

// Read reads all records. Files that are none are left alone and named in problems.
// If the directory cannot be read, err says why.
func (d Dir) Read() (records []Record, problems []error, err error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, nil, fmt.Errorf("directory of pod records: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), recordSuffix) {
			continue
		}
		path := filepath.Join(string(d), e.Name())
		r, err := readRecord(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // its pod has just ended
		case err != nil:
			problems = append(problems, fmt.Errorf("record %s: %w", path, err))
		case d.file(r.Attachment) != path:
			problems = append(problems, fmt.Errorf("record %s: is about %s, whose record has another name", path, r.Attachment))
		default:
			records = append(records, r)
		}
	}
	return records, problems, nil
}

// Clean removes what a process that was killed while it wrote has left. Others may
// be writing at this moment, so that only what is old goes.
func (d Dir) Clean(now time.Time) {
	entries, _ := os.ReadDir(string(d))
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), tmpPrefix) && now.Sub(info.ModTime()) > time.Minute {
			_ = os.Remove(filepath.Join(string(d), e.Name()))
		}
	}
}

func readRecord(path string) (Record, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return Record{}, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return Record{}, errors.Join(err, errors.New("is no regular file"))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return Record{}, err
	}
	return decodeRecord(b)
}

// decodeRecord takes fields that it does not know: a later agent may have added some.
func decodeRecord(b []byte) (Record, error) {
	if len(b) > maxRecord {
		return Record{}, fmt.Errorf("more than %d bytes", maxRecord)
	}
	var r recordFile
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, err
	}
	if r.Version != recordVersion {
		return Record{}, fmt.Errorf("version %d: expected %d", r.Version, recordVersion)
	}
	return r.Record, r.Check()
}
