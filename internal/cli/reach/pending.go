package reach

import (
	"fmt"
	"io"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/output"
)

// changes finds what the staged policies would change, and what to note of it.
func (o *options) changes(in *input.Input) ([]analyze.Difference, []string, error) {
	list, analyzed, err := analyze.Diff(o.toHost.InModel(in.Model), o.toHost.InModel(o.input.Pending(in).Model), o.options())
	if err != nil {
		return nil, nil, err
	}
	notes := noteTexts(analyzed)
	if len(in.StagedPolicies()) == 0 {
		notes = append(notes, fmt.Sprintf("%s no staged policies, so nothing would change", in.Source))
	}
	return list, notes, nil
}

// printChanges prints what would change.
func (o *options) printChanges(w io.Writer, changes []analyze.Difference) error {
	if o.output == "json" {
		return output.PrintJSON(w, changes)
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "Nothing would change.")
		return err
	}
	rows := make([][]string, len(changes))
	for i, c := range changes {
		rows[i] = []string{endText(c.Src), endText(c.Dst), c.Before.String(), c.After.String()}
	}
	return output.PrintTable(w, []string{"FROM", "TO", "NOW", "PENDING"}, rows)
}
