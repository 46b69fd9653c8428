package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// journal remembers the last valid version of what decides on this host, from
// one agent to the next: an object that is invalid when an agent starts must
// not lose the version that is in force. It lies beside the lock file, where it
// lives exactly as long as the kernel's tables: until the machine restarts.
//
// It is a file of JSON lines, each an object or the key of one that is gone;
// the last line about a key counts. A line that was cut off by a crash is
// passed over.
type journal struct {
	path  string
	file  *os.File
	lines int                 // in the file
	keys  map[policy.Key]bool // that count
}

// entry is one line. The object is as its API writes it.
type entry struct {
	Gone   *policy.Key     `json:"gone,omitempty"`
	File   string          `json:"file,omitempty"` // where it was written
	Object json.RawMessage `json:"object,omitempty"`
}

// remembered is an object of an earlier agent.
type remembered struct {
	resource store.Resource
	file     string
}

// openJournal opens the journal of this network namespace and gives what it holds.
func openJournal(dir string, namespace uint64) (*journal, map[policy.Key]remembered, error) {
	if dir == "" {
		dir = defaultRunDir
	}
	j := &journal{path: filepath.Join(dir, fmt.Sprintf("last-valid-%d.json", namespace)), keys: map[policy.Key]bool{}}
	objects, err := j.read()
	if err != nil {
		return nil, nil, fmt.Errorf("last valid versions: %w", err)
	}
	for k := range objects {
		j.keys[k] = true
	}
	return j, objects, nil
}

func (j *journal) read() (map[policy.Key]remembered, error) {
	objects := map[policy.Key]remembered{}
	j.lines = 0
	f, err := os.OpenFile(j.path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return objects, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		j.lines++
		var e entry
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		if e.Gone != nil {
			delete(objects, *e.Gone)
			continue
		}
		back, _ := files.Load([]string{"-"}, files.Options{Stdin: bytes.NewReader(e.Object)})
		for _, res := range back {
			objects[res.Key] = remembered{res, e.File}
		}
	}
}

// compactAt is how many lines may be in vain until the file is written anew.
const compactAt = 1000

// note writes down what a batch brought: the objects that are valid, and the
// keys that are gone.
func (j *journal) note(valid []store.Resource, gone []policy.Key) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, r := range valid {
		object, err := json.Marshal(r.Object)
		if err != nil {
			return fmt.Errorf("%s: %w", store.ObjectName(r.Key), err)
		}
		if err := enc.Encode(entry{Object: object, File: fileOf(r)}); err != nil {
			return err
		}
		j.keys[r.Key] = true
		j.lines++
	}
	for _, k := range gone {
		if !j.keys[k] {
			continue
		}
		if err := enc.Encode(entry{Gone: &k}); err != nil {
			return err
		}
		delete(j.keys, k)
		j.lines++
	}
	if b.Len() == 0 {
		return nil
	}
	if j.file == nil {
		var err error
		if j.file, err = os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600); err != nil {
			return err
		}
		// The last line may have been cut off by a crash: do not go on in it.
		if _, err := j.file.WriteString("\n"); err != nil {
			return err
		}
	}
	if _, err := j.file.Write(b.Bytes()); err != nil {
		return err
	}
	if j.lines > 2*len(j.keys)+compactAt {
		return j.compact()
	}
	return nil
}

// compact writes the file anew without the lines that no longer count.
func (j *journal) compact() error {
	objects, err := j.read()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, r := range objects {
		object, err := json.Marshal(r.resource.Object)
		if err != nil {
			return err
		}
		if err := enc.Encode(entry{Object: object, File: r.file}); err != nil {
			return err
		}
	}
	tmp := j.path + ".new"
	if err := os.WriteFile(tmp, b.Bytes(), 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, j.path); err != nil {
		return err
	}
	j.lines = len(objects)
	err = j.file.Close()
	j.file = nil
	return err
}

// remove forgets everything.
func (j *journal) remove() error {
	err := os.Remove(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, j.close())
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	return j.file.Close()
}

func fileOf(r store.Resource) string {
	if r.Origin == nil {
		return ""
	}
	file, _ := r.Origin.Place("")
	return file
}
