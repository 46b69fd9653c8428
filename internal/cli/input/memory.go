package input

import (
	"io"
	"math"
	"runtime/debug"

	"github.com/tierwall/tierwall/internal/store/files"
)

// readLimit is how much memory reading takes before it collects its garbage more often, in
// bytes: the objects of a dump are smaller than its text, which is in memory as well, and
// what is made in between would double both.
const readLimit = 420 << 20

// manyObjects is from when on reading is worth a collection of its own.
const manyObjects = 10_000

// readFiles reads manifests, and returns to the system what the text took.
func readFiles(paths []string, opts files.Options, stderr io.Writer) files.Loaded {
	var done func()
	opts.Progress, done = progressOn(stderr)
	defer done()
	before := debug.SetMemoryLimit(-1)
	if before == math.MaxInt64 { // nobody has said another one
		debug.SetMemoryLimit(readLimit)
		defer debug.SetMemoryLimit(before)
	}
	read := files.LoadAll(paths, opts)
	if len(read.Resources) >= manyObjects {
		debug.FreeOSMemory()
	}
	return read
}
