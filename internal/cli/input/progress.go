package input

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// progressStep is how many bytes are read between two lines of progress.
const progressStep = 16 << 20

// progressOn returns what says on a terminal how much has been read, and what takes that away
// in the end; nothing is said elsewhere, or of little.
func progressOn(w io.Writer) (progress func(bytes int64), done func()) {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	return progressTo(w)
}

func progressTo(w io.Writer) (progress func(bytes int64), done func()) {
	var read, said int64
	return func(bytes int64) {
			if read += bytes; read-said >= progressStep {
				said = read
				_, _ = fmt.Fprintf(w, "\r%d MB read", read>>20)
			}
		}, func() {
			if said > 0 {
				_, _ = io.WriteString(w, "\r\x1b[K")
			}
		}
}
