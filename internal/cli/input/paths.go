package input

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/store"
)

// FileArgs is the Args of commands that read manifests: what stands there is files, as if
// each had its -f.
func (f *Flags) FileArgs(_ *cobra.Command, args []string) error {
	f.Paths = append(f.Paths, args...)
	f.args = len(args)
	return nil
}

// Unreadable returns the error of files that could not be read; nil if all could.
func (in *Input) Unreadable() error {
	var texts []string
	for _, f := range in.Findings {
		if f.Unreadable {
			texts = append(texts, f.Error())
		}
	}
	if texts == nil {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(texts, "\n"))
}

// IsEmpty reports whether files were read and held nothing at all.
func (in *Input) IsEmpty() bool {
	return in.Source == FromFiles && len(in.Resources)+len(in.Rejected)+in.PassedOver == 0 && in.ErrorCount() == 0
}

// Warn says what concerns whatever is decided by the manifests.
func Warn(w io.Writer, findings []store.Finding) error {
	for _, f := range findings {
		if !f.Warning {
			continue
		}
		if _, err := fmt.Fprintf(w, "Warning: %s\n", f.Error()); err != nil {
			return err
		}
	}
	return nil
}
