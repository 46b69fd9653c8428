package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// groupLine is a line of the script ci that runs tests.
var groupLine = regexp.MustCompile(`(?m)^group \d+ (\S+) '([^']*)'`)

// TestGroups holds that CI runs every test there is: a test that no group of ci names would never run there.
func TestGroups(t *testing.T) {
	script, err := os.ReadFile("ci")
	must(t, err)
	var groups []*regexp.Regexp
	for _, m := range groupLine.FindAllStringSubmatch(string(script), -1) {
		if m[1] != "." {
			continue
		}
		first, _, _ := strings.Cut(m[2], "$/^")
		if strings.Contains(m[2], "$/^") {
			first += "$"
		}
		re, err := regexp.Compile(first)
		must(t, err)
		groups = append(groups, re)
	}
	if len(groups) == 0 {
		t.Fatal("ci has no groups")
	}
	files, err := filepath.Glob("*_test.go")
	must(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		must(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" {
				continue
			}
			runs := false
			for _, g := range groups {
				runs = runs || g.MatchString(f.Name.Name)
			}
			if !runs {
				t.Errorf("%s: no group of ci runs %s", name, f.Name.Name)
			}
		}
	}
}
