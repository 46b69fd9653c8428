package files

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is one document of a file: its text and where it begins.
type document struct {
	text      []byte
	firstLine int // from 1
}

// body returns the text without the mark that it begins with, whose place is kept
// by spaces. A text that cannot be JSON is given as it is: it may be large.
func (d document) body() []byte {
	if !isMark(d.text, "---") || !bytes.HasPrefix(bytes.TrimLeft(d.text[3:], " \t\r\n"), []byte("{")) {
		return d.text
	}
	return append([]byte("   "), d.text[3:]...)
}

// splitYAML cuts a file into its documents. Each is parsed on its own, so that
// one that does not parse hides none of the others. A line that begins with
// "---" or "..." is a document's mark wherever it stands, even in quotes.
func splitYAML(text []byte) []document {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var docs []document
	start, startLine, line := 0, 1, 1
	cut := func(end int) {
		if chunk := text[start:end]; holdsContent(chunk) {
			docs = append(docs, document{chunk, startLine})
		}
	}
	for pos := 0; pos < len(text); line++ {
		end := len(text)
		if i := bytes.IndexByte(text[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		switch mark := text[pos:end]; {
		case isMark(mark, "---"):
			cut(pos)
			start, startLine = pos, line
		case isMark(mark, "..."):
			cut(pos)
			start, startLine = end, line+1
		}
		pos = end
	}
	cut(len(text))
	return docs
}

func isMark(line []byte, mark string) bool {
	rest, found := bytes.CutPrefix(line, []byte(mark))
	return found && (len(rest) == 0 || rest[0] == '\n' || rest[0] == '\r' || rest[0] == ' ' || rest[0] == '\t')
}

// holdsContent reports whether there is more than marks, comments, directives
// and white space.
func holdsContent(chunk []byte) bool {
	for line := range bytes.Lines(chunk) {
		if rest, found := bytes.CutPrefix(line, []byte("---")); found {
			line = rest
		}
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return true
		}
	}
	return false
}

// syntaxError is a text that is no YAML or JSON.
type syntaxError struct {
	line    int // in the text, from 1
	message string
}

var yamlErrorLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// parsed is what a text holds: documents, and why there are no more of them.
type parsed struct {
	roots []*yaml.Node
	err   *syntaxError
}

// parseYAML parses a document. The text may hold more of them, where line ends
// or an encoding are not what splitYAML knows; what follows the last one is an
// error.
func parseYAML(d document) parsed {
	var out parsed
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		switch {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			out.err = d.syntaxError(err, len(out.roots) > 0)
			return out
		}
		if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
			out.roots = append(out.roots, root.Content[0])
		}
	}
}

// syntaxError reads the parser's error; after says that a document stands
// before the place where it occurred.
func (d document) syntaxError(err error, after bool) *syntaxError {
	text := err.Error()
	found := yamlErrorLine.FindStringSubmatch(text)
	out := &syntaxError{line: 1, message: strings.TrimPrefix(text, strings.Join(found[:min(1, len(found))], ""))}
	if len(found) > 1 && found[1] != "" {
		out.line, _ = strconv.Atoi(found[1])
	}
	if after {
		if strings.Contains(text, "<document start>") {
			out.line++ // the parser counts from 0 here
		}
		out.message = "holds something after the end of a document: put --- between documents, on a line of its own (" + out.message + ")"
		return out
	}
	if bad := badText(d.text); bad != nil {
		return bad
	}
	out.message = "is no YAML: " + out.message + d.hint(d.firstLine+out.line-1)
	return out
}

// hint says what is often wrong at a line that does not parse.
func (d document) hint(line int) string {
	n := d.firstLine
	for text := range bytes.Lines(d.text) {
		// The parser's line may be one off.
		if n >= line-1 && n <= line+1 {
			indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
			if bytes.IndexByte(indent, '\t') >= 0 {
				return " (a tab indents line " + strconv.Itoa(n) + ": use spaces)"
			}
			if bytes.Contains(text, []byte("{{")) {
				return " (line " + strconv.Itoa(n) + " looks like a template: render it first)"
			}
		}
		n++
	}
	return ""
}
