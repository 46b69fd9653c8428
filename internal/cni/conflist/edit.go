package conflist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/version"
)

// Add returns the text of a configuration list with a plugin at its end. Entry is the
// plugin's JSON object; one of the same type that is in the list already is replaced in its
// place, and if it is the same, the text is returned as it is.
//
// It is an error if the text is no configuration list, or one whose versions of CNI
// are not among those of the plugin: containers could not be started any more.
func Add(text, entry []byte, supported []string) ([]byte, error) {
	l, err := parse(text)
	if err != nil {
		return nil, err
	}
	if err := l.fits(supported); err != nil {
		return nil, err
	}
	kind, err := kindOf(entry)
	if err != nil {
		return nil, err
	}
	ours := l.all(kind)
	if len(ours) == len(l.plugins) {
		return nil, fmt.Errorf("plugins: there are none but %s: the network's own plugin must be there first", kind)
	}
	var out []byte
	switch {
	case len(ours) == 1 && ours[0] > 0 && sameJSON(l.of(l.plugins[ours[0]].span), entry):
		return text, nil
	case len(ours) == 1 && ours[0] > 0:
		p := l.plugins[ours[0]]
		out = slices.Concat(text[:p.start], l.layOut(entry, ours[0]-1), text[p.end:])
	default:
		// Ours twice, or before all others: they are taken out and one is added.
		rest, err := Remove(text, kind)
		if err != nil {
			return nil, err
		}
		if l, err = parse(rest); err != nil {
			return nil, err
		}
		last := len(l.plugins) - 1
		end := l.plugins[last].end
		out = slices.Concat(rest[:end], []byte(","), l.lead(last), l.layOut(entry, last), rest[end:])
	}
	return out, verify(out)
}

// Remove returns the text of a configuration list without the plugins of a type; the text itself
// if there is none. It is an error if nothing would be left.
func Remove(text []byte, kind string) ([]byte, error) {
	l, err := parse(text)
	if err != nil {
		return nil, err
	}
	ours := l.all(kind)
	switch len(ours) {
	case 0:
		return text, nil
	case len(l.plugins):
		return nil, fmt.Errorf("plugins: there are none but %s, and a list without plugins is not valid: remove the whole configuration", kind)
	}
	out := bytes.Clone(text)
	for _, i := range slices.Backward(ours) {
		if i > 0 {
			out = slices.Delete(out, l.plugins[i-1].end, l.plugins[i].end)
		} else {
			out = slices.Delete(out, l.plugins[0].start, l.plugins[1].start)
		}
		// What was parsed is of the text before. Plugins before this one are
		// where they were; this one is gone.
		if l, err = parse(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Kinds returns the types of the plugins in their order.
func Kinds(text []byte) ([]string, error) {
	l, err := parse(text)
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, p := range l.plugins {
		kinds = append(kinds, p.kind)
	}
	return kinds, nil
}

// Wrap makes a list of a configuration of one plugin, as runtimes do themselves when
// they read one.
func Wrap(text []byte) ([]byte, error) {
	l := &list{text: text}
	fields, err := l.fields()
	if err != nil {
		return nil, err
	}
	kind, err := stringField(fields, "type")
	if err != nil {
		return nil, err
	}
	name, err := stringField(fields, "name")
	if err != nil {
		return nil, err
	}
	cniVersion, err := stringField(fields, "cniVersion")
	switch {
	case err != nil:
		return nil, err
	case fields["plugins"] != nil:
		return nil, errors.New("plugins: is of configuration lists, and container runtimes take a file for one only if its name ends with .conflist")
	case kind == "":
		return nil, errors.New("type: is missing: expected the name of a plugin")
	case name == "":
		return nil, errors.New("name: is missing: expected the name of the network")
	}
	head, err := json.Marshal(struct {
		CNIVersion string `json:"cniVersion"`
		Name       string `json:"name"`
	}{cniVersion, name})
	if err != nil {
		return nil, err
	}
	out := slices.Concat(head[:len(head)-1], []byte(",\"plugins\":[\n"), bytes.TrimSpace(text), []byte("\n]}\n"))
	return out, verify(out)
}

// all returns the indexes of the plugins of a type.
func (l *list) all(kind string) []int {
	var found []int
	for i, p := range l.plugins {
		if p.kind == kind {
			found = append(found, i)
		}
	}
	return found
}

// fits refuses a list that may be used with a version of CNI that the plugin does
// not speak.
func (l *list) fits(supported []string) error {
	if len(l.versions) == 0 {
		return fmt.Errorf("cniVersion: is missing, which means one that is too old for a chain of plugins: expected one of %s", strings.Join(supported, ", "))
	}
	newest := "0.0.0"
	for _, v := range l.versions {
		newer, err := version.GreaterThan(v, newest)
		if err != nil {
			return fmt.Errorf("cniVersion %q: %w", v, err)
		}
		if newer {
			newest = v
		}
	}
	// Runtimes take the newest one that they know, which may be the newest.
	if !slices.Contains(supported, newest) {
		return fmt.Errorf("cniVersion %s: is not supported: expected one of %s", newest, strings.Join(supported, ", "))
	}
	return nil
}

func kindOf(entry []byte) (string, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(entry, &head); err != nil {
		return "", fmt.Errorf("the plugin to add: %w", err)
	}
	if head.Type == "" {
		return "", errors.New("the plugin to add has no type")
	}
	return head.Type, nil
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// verify lets the library that runtimes use read the result, before they do.
func verify(text []byte) error {
	if _, err := libcni.NetworkConfFromBytes(text); err != nil {
		return fmt.Errorf("container runtimes would refuse it: %w", err)
	}
	return nil
}
