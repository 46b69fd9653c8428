package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// inputFlags are the flags of every command that reads manifests.
type inputFlags struct {
	paths     []string
	namespace string
	keepGoing bool
	// standInIPv6 is no flag: a command sets it to give endpoints without
	// addresses an IPv6 stand-in too.
	standInIPv6 bool
}

// register adds the flags to a command.
func (f *inputFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.paths, "file", "f", nil,
		"file, directory (read recursively) or - for standard input; may be repeated")
	flags.StringVarP(&f.namespace, "namespace", "n", "default",
		"namespace of objects that name none")
	flags.BoolVar(&f.keepGoing, "keep-going", false,
		"go on without the objects that are invalid")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
}

// input is what the manifests hold.
type input struct {
	Model      *policy.Model
	staged     []translate.Staged
	ungoverned []translate.Ungoverned // pods and workloads that are no endpoints
	resources  []store.Resource       // all that could be read, in order
	rejected   int                    // objects beside those
	findings   []store.Finding        // errors and notes, sorted by place
}

// place gives "file:line" of an object, or "" if it is not written anywhere.
func (in *input) place(key policy.Key) string {
	for _, r := range in.resources {
		if r.Key == key && r.Origin != nil {
			file, line := r.Origin.Place("")
			return fmt.Sprintf("%s:%d", file, line)
		}
	}
	return ""
}

// errorCount is the number of findings that are no notes.
func (in *input) errorCount() int {
	n := 0
	for _, f := range in.findings {
		if !f.Note {
			n++
		}
	}
	return n
}

// errNoInput is the error of a command that was told of no manifests.
var errNoInput = errors.New("no manifests: name a file or directory with -f, or - for standard input")

// read loads and translates the manifests, whatever is wrong with them. It fails
// only where the flags themselves are unusable.
func (f *inputFlags) read(cmd *cobra.Command) (*input, error) {
	if len(f.paths) == 0 {
		return nil, errNoInput
	}
	if !translate.IsNamespaceName(f.namespace) {
		return nil, fmt.Errorf("-n %s: is no name of a namespace: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63", f.namespace)
	}
	// Reading may wait for a pipe for ever: let a signal end the program.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	read := files.LoadAll(f.paths, files.Options{Namespace: f.namespace, Stdin: cmd.InOrStdin()})
	loaded := translate.Load(read.Resources, read.Rejected, translate.Options{Offline: true, StandInIPv6: f.standInIPv6})
	findings := append(read.Findings, loaded.Findings...)
	slices.SortStableFunc(findings, store.Finding.Compare)
	return &input{
		Model: loaded.Model, staged: loaded.Staged, ungoverned: loaded.Ungoverned,
		resources: read.Resources, rejected: len(read.Rejected), findings: findings,
	}, nil
}

// load gives the model that the manifests describe. An invalid object is an
// error that names it, as is anything unreadable; with --keep-going it is left
// out instead, and standard error says so.
func (f *inputFlags) load(cmd *cobra.Command) (*input, error) {
	in, err := f.read(cmd)
	if err != nil {
		return nil, exitWith(exitFailed, err)
	}
	if in.errorCount() == 0 {
		return in, nil
	}
	if !f.keepGoing {
		return nil, exitWith(exitFailed, invalidInput(in))
	}
	if err := warnInvalid(cmd.ErrOrStderr(), in); err != nil {
		return nil, exitWith(exitFailed, err)
	}
	return in, nil
}

// maxShownErrors keeps an error readable; validate lists them all.
const maxShownErrors = 10

// invalidInput names the findings that stop a command.
func invalidInput(in *input) error {
	var list []error
	for _, f := range in.findings {
		if !f.Note && len(list) < maxShownErrors {
			list = append(list, f)
		}
	}
	if more := in.errorCount() - len(list); more > 0 {
		list = append(list, fmt.Errorf("and %d more: see tierwall validate", more))
	}
	return errors.Join(append(list, errors.New("nothing was decided; --keep-going leaves invalid objects out"))...)
}

func warnInvalid(w io.Writer, in *input) error {
	for _, f := range in.findings {
		if f.Note {
			continue
		}
		if _, err := fmt.Fprintf(w, "left out: %s\n", f.Error()); err != nil {
			return err
		}
	}
	return nil
}
