// Package httpdocs holds the configurations of proxies in docs/http.md against the
// types of those proxies, strictly: a field that they do not have, or a value that
// they refuse, is an error. It is a module of its own because these types are large
// and nothing that is shipped needs them.
package httpdocs

import (
	"fmt"
	"os"
	"strings"
)

// Block is an indented block of a page.
type Block struct {
	Heading string // the heading that it is under
	Line    int    // where it begins; the first line is 1
	Text    string // without the indentation
}

const indent = "    "

// Blocks returns the indented blocks of a page in Markdown.
func Blocks(file string) ([]Block, error) {
	text, err := os.ReadFile(file) //nolint:gosec // a page of this repository
	if err != nil {
		return nil, err
	}
	var out []Block
	var heading string
	open := false // a block, which empty lines do not end
	blank := 0
	for i, line := range strings.Split(string(text), "\n") {
		code, indented := strings.CutPrefix(line, indent)
		switch {
		case strings.TrimSpace(line) == "":
			blank++
			continue
		case indented && open:
			last := &out[len(out)-1]
			last.Text += strings.Repeat("\n", blank) + code + "\n"
		case indented:
			out = append(out, Block{heading, i + 1, code + "\n"})
			open = true
		default:
			open = false
			if h, found := strings.CutPrefix(line, "## "); found {
				heading = h
			}
		}
		blank = 0
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no indented blocks", file)
	}
	return out, nil
}
