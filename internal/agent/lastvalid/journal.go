package lastvalid

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"maps"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// journal keeps the last valid version of what decides on this host, from
// one agent to the next: an object that is invalid when an agent starts must
// not lose the version that is in force. It lies beside the lock file, where it
// lives exactly as long as the kernel's tables: until the machine restarts.
//
// It is a file of JSON lines, each an object or the key of one that is gone;
// the last line about a key counts. A line that was cut off by a crash is
// passed over. Objects stay in the file: a cluster may have thousands, and
// almost none is ever needed again.
type journal struct {
	path  string
	file  *os.File
	size  int64 // of the file
	lines int   // in the file
	last  map[policy.Key]savedVersion
	// broken says that nothing can be written any more. What is there can be read.
	broken bool
}

// entry is one line. The object is as its API writes it.
type entry struct {
	Key    policy.Key      `json:"key"`
	File   string          `json:"file,omitempty"` // where it was written
	Object json.RawMessage `json:"object,omitempty"`
}

// savedVersion says where the last valid version of an object is in the journal.
type savedVersion struct {
	file   string // where the object was written
	offset int64  // of the line
	length int    // of it, with its end
	sum    uint64 // of the line
}

var journalSeed = maphash.MakeSeed()

// openJournal opens a journal and returns it with what it holds.
func openJournal(path string) (*journal, map[policy.Key]savedVersion, error) {
	j := &journal{path: path, last: map[policy.Key]savedVersion{}}
	if err := j.read(); err != nil {
		return nil, nil, fmt.Errorf("last valid versions: %w", err)
	}
	return j, maps.Clone(j.last), nil
}

func (j *journal) read() error {
	f, err := os.OpenFile(j.path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := r.ReadBytes('\n')
		start := j.size
		j.size += int64(len(line))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		j.lines++
		var e entry
		switch {
		case json.Unmarshal(line, &e) != nil || e.Key == policy.Key{}:
		case e.Object == nil:
			delete(j.last, e.Key)
		default:
			j.last[e.Key] = savedVersion{e.File, start, len(line), maphash.Bytes(journalSeed, line)}
		}
	}
}

// load reads the last version of an object.
func (j *journal) load(key policy.Key) (store.Resource, error) {
	line, err := j.line(j.last[key])
	if err != nil {
		return store.Resource{}, err
	}
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return store.Resource{}, err
	}
	objects, findings := files.Load([]string{"-"}, files.Options{Stdin: bytes.NewReader(e.Object)})
	if len(objects) == 1 && objects[0].Key == e.Key {
		return objects[0], nil
	}
	for _, f := range findings {
		return store.Resource{}, f
	}
	return store.Resource{}, fmt.Errorf("it is not %s", store.ObjectName(e.Key))
}

func (j *journal) line(r savedVersion) ([]byte, error) {
	f, err := os.OpenFile(j.path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	line := make([]byte, r.length)
	_, err = f.ReadAt(line, r.offset)
	return line, err
}

// compactAt is how many lines may be in vain until the file is written anew.
const compactAt = 1000

// note writes down what a batch brought: the objects that are valid, and the
// keys that are gone.
func (j *journal) note(valid []store.Resource, gone []policy.Key) error {
	if j.broken || len(valid)+len(gone) == 0 {
		return nil
	}
	err := j.write(valid, gone)
	j.broken = err != nil
	return err
}

func (j *journal) write(valid []store.Resource, gone []policy.Key) error {
	var b bytes.Buffer
	if err := j.begin(&b); err != nil {
		return err
	}
	for _, r := range valid {
		if err := j.noteObject(&b, r); err != nil {
			return fmt.Errorf("%s: %w", store.ObjectName(r.Key), err)
		}
	}
	for _, k := range gone {
		if _, ok := j.last[k]; !ok {
			continue
		}
		if err := json.NewEncoder(&b).Encode(entry{Key: k}); err != nil {
			return err
		}
		delete(j.last, k)
		j.lines++
	}
	if _, err := j.file.Write(b.Bytes()); err != nil {
		return err
	}
	j.size += int64(b.Len())
	if j.lines > 2*len(j.last)+compactAt {
		return j.compact()
	}
	return nil
}

// begin opens the file. The last line may have been cut off by a crash: nothing
// goes on in it.
func (j *journal) begin(b *bytes.Buffer) error {
	if j.file != nil {
		return nil
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err == nil {
		j.file = f
		err = b.WriteByte('\n')
	}
	return err
}

// noteObject writes an object, unless its last version is the same.
func (j *journal) noteObject(b *bytes.Buffer, r store.Resource) error {
	object, err := json.Marshal(r.Object)
	if err != nil {
		return err
	}
	line, err := json.Marshal(entry{Key: r.Key, Object: object, File: fileOf(r)})
	if err != nil {
		return err
	}
	line = append(line, '\n')
	sum := maphash.Bytes(journalSeed, line)
	if was, ok := j.last[r.Key]; ok && was.sum == sum && was.length == len(line) {
		return nil
	}
	j.last[r.Key] = savedVersion{fileOf(r), j.size + int64(b.Len()), len(line), sum}
	j.lines++
	_, err = b.Write(line)
	return err
}

// compact writes the file anew without the lines that no longer count.
func (j *journal) compact() error {
	tmp := j.path + ".new"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	old, err := os.OpenFile(j.path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = old.Close() }()
	out := bufio.NewWriter(f)
	size := int64(0)
	for k, r := range j.last {
		if _, err := io.Copy(out, io.NewSectionReader(old, r.offset, int64(r.length))); err != nil {
			return err
		}
		r.offset = size
		j.last[k] = r
		size += int64(r.length)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := os.Rename(tmp, j.path); err != nil {
		return err
	}
	j.lines, j.size = len(j.last), size
	err = j.file.Close()
	j.file = nil
	return err
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

func fileOf(r store.Resource) string {
	if r.Origin == nil {
		return ""
	}
	file, _ := r.Origin.Position("")
	return file
}
