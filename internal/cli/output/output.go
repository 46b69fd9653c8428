// Package output prints what commands answer: formats, tables, colours.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/printable"
	"github.com/tierwall/tierwall/internal/suggest"
)

// AddFlag adds -o/--output with the formats a command knows; the first is
// the default. CheckFlag validates what was given.
func AddFlag(cmd *cobra.Command, format *string, formats ...string) {
	cmd.Flags().StringVarP(format, "output", "o", formats[0], "output format: "+suggest.OrList(formats))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// CheckFlag refuses a format that is none of the formats.
func CheckFlag(cmd *cobra.Command, format string, formats ...string) error {
	if slices.Contains(formats, format) {
		return nil
	}
	return command.UsageError(cmd, fmt.Errorf("-o %s: unknown output format: expected %s%s", format, suggest.OrList(formats), suggest.DidYouMean(format, formats)))
}

// PrintJSON writes the value as indented JSON with a newline at its end.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// PrintTable writes rows in columns under a header, two spaces apart, without
// trailing spaces.
func PrintTable(w io.Writer, header []string, rows [][]string) error {
	all := [][]string{header}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable.Painted(cell)
		}
		all = append(all, cells)
	}
	widths := make([]int, len(header))
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(Pad(cell, widths[i]+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// PrintNotes writes notes, each on a line.
func PrintNotes(w io.Writer, notes []string) error {
	for _, n := range notes {
		if _, err := fmt.Fprintln(w, "Note:", printable.Line(n)); err != nil {
			return err
		}
	}
	return nil
}

// PrintFields writes names with their values, one on a line.
func PrintFields(w io.Writer, fields [][2]string) error {
	width := 17
	for _, f := range fields {
		width = max(width, utf8.RuneCountInString(f[0])+1)
	}
	for _, f := range fields {
		if _, err := fmt.Fprintf(w, "%s%s\n", Pad(printable.Painted(f[0]), width), printable.Painted(f[1])); err != nil {
			return err
		}
	}
	return nil
}

// Pad fills s up with spaces to a width in characters.
func Pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// Style paints text with terminal colours, or leaves it as it is.
type Style struct{ on bool }

// StyleFor returns colours to a terminal and plain text to all else. NO_COLOR
// (not empty) and TERM=dumb switch colours off.
func StyleFor(w io.Writer) Style {
	f, ok := w.(*os.File)
	return Style{ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))}
}

func (s Style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold paints what names something.
func (s Style) Bold(text string) string { return s.paint("1", text) }

// Dim paints what is beside the point.
func (s Style) Dim(text string) string { return s.paint("2", text) }

// Red paints what is denied or wrong.
func (s Style) Red(text string) string { return s.paint("1;31", text) }

// Green paints what is allowed or right.
func (s Style) Green(text string) string { return s.paint("1;32", text) }

// Yellow paints what is passed on, and notes.
func (s Style) Yellow(text string) string { return s.paint("33", text) }
