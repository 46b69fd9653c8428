package input

import (
	"errors"
	"fmt"
	"io"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// Check returns what is wrong with a state of the store.
func Check(resources []store.Resource, rejected []store.Rejected) []store.Finding {
	return translate.Load(resources, rejected, translate.Options{Offline: true}).Findings
}

// Errors returns the findings that are no notes.
func Errors(findings []store.Finding) []store.Finding {
	var out []store.Finding
	for _, f := range findings {
		if !f.Note {
			out = append(out, f)
		}
	}
	return out
}

// CountErrors is the number of findings that are no notes.
func CountErrors(findings []store.Finding) int {
	n := 0
	for _, f := range findings {
		if !f.Note {
			n++
		}
	}
	return n
}

// InvalidCount is the number of objects, and of files, that errors are about.
func (in *Input) InvalidCount() int {
	wrong := map[[2]string]bool{}
	for _, f := range in.Findings {
		if f.Note || f.FailClosed {
			continue
		}
		file := ""
		if f.Key == (policy.Key{}) {
			file = f.File
		}
		wrong[[2]string{file, f.Key.String()}] = true
	}
	return len(wrong)
}

// maxShownErrors keeps an error readable; validate lists them all.
const maxShownErrors = 10

// InvalidError names the findings that stop a command, and says what that means.
func InvalidError(findings []store.Finding, so string) error {
	var list []error
	for _, f := range findings {
		if !f.Note && len(list) < maxShownErrors {
			list = append(list, f)
		}
	}
	if more := CountErrors(findings) - len(list); more > 0 {
		list = append(list, fmt.Errorf("and %d more: see tierwall validate", more))
	}
	return errors.Join(append(list, errors.New(so))...)
}

// LeftOut returns what is wrong with objects that are left out, each as a line.
func (in *Input) LeftOut() []string {
	var out []string
	for _, f := range in.Findings {
		if !f.Note {
			out = append(out, in.FindingText(f))
		}
	}
	return out
}

// WarnInvalid names the objects that are left out.
func WarnInvalid(w io.Writer, in *Input) error {
	for _, text := range in.LeftOut() {
		if _, err := fmt.Fprintf(w, "left out: %s\n", text); err != nil {
			return err
		}
	}
	return nil
}
