package files

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tagOf returns what a scalar is taken for. Kubernetes reads YAML 1.1, where a
// plain yes, no, on or off is a boolean; the parser here reads 1.2.
func tagOf(n *yaml.Node) string {
	tag := n.ShortTag()
	switch {
	case tag == "!!str" && n.Style == 0 && isOldBool(n.Value):
		return "!!bool"
	case tag == "!!timestamp":
		return "!!str" // a date is text in JSON
	}
	return tag
}

func isOldBool(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off":
		// Of mixed case, only the first letter may be a capital.
		return s == strings.ToLower(s) || s == strings.ToUpper(s) || s[1:] == strings.ToLower(s[1:])
	}
	return false
}

func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "true", "yes", "on":
		return true
	}
	return false
}

// isWhole reports whether a scalar is a whole number, however large.
func isWhole(n *yaml.Node, tag string) bool {
	return tag == "!!int" || tag == "!!float" && wholeNumber.MatchString(n.Value)
}

// knownTag reports whether a value is of a kind that JSON has, too, as all values of the
// APIs are. Only a tag that somebody wrote can be another one.
func knownTag(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return true
	}
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!merge", "!!timestamp":
		return true
	}
	return false
}

// found says what a node is, for messages.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "holds fields"
	case yaml.SequenceNode:
		return "holds a list"
	}
	switch tagOf(n) {
	case "!!bool":
		return "is the boolean " + n.Value
	case "!!int", "!!float":
		return "is the number " + n.Value
	case "!!null":
		return "is empty"
	}
	if len(n.Value) > 60 {
		return "is the text " + strconv.Quote(n.Value[:60]+"...")
	}
	return "is the text " + strconv.Quote(n.Value)
}

// scalar puts a scalar into v.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "%s: expected %s", found(n), kindName(v.Kind()))
		return
	}
	tag := tagOf(n)
	switch v.Kind() {
	case reflect.String:
		if tag != "!!str" {
			d.fail(n, "%s: expected a text; write it in quotes: %q", found(n), n.Value)
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		if tag != "!!bool" {
			d.fail(n, "%s: expected true or false", found(n))
			return
		}
		v.SetBool(isTrue(n.Value))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, 64)
		if isWhole(n, tag) && (err != nil || v.OverflowInt(i)) {
			least := int64(-1) << (v.Type().Bits() - 1)
			d.fail(n, "%s, which is out of range: expected a whole number from %d to %d", found(n), least, -(least + 1))
			return
		}
		if tag != "!!int" || err != nil {
			d.fail(n, "%s: expected a whole number", found(n))
			return
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := strconv.ParseUint(strings.ReplaceAll(n.Value, "_", ""), 0, 64)
		if isWhole(n, tag) && (err == nil && v.OverflowUint(u) || errors.Is(err, strconv.ErrRange)) {
			d.fail(n, "%s, which is out of range: expected a whole number from 0 to %d", found(n), ^uint64(0)>>(64-v.Type().Bits()))
			return
		}
		if tag != "!!int" || err != nil {
			d.fail(n, "%s: expected a whole number of 0 or more", found(n))
			return
		}
		v.SetUint(u)
	case reflect.Float32, reflect.Float64:
		d.float(n, v, tag)
	default:
		d.fail(n, "cannot be read into a %s", v.Type())
	}
}

// float puts a finite number into v: there is no other in JSON.
func (d *decoder) float(n *yaml.Node, v reflect.Value, tag string) {
	var x float64
	var err error
	switch tag {
	case "!!int":
		var i int64
		i, err = strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, 64)
		x = float64(i)
	case "!!float":
		x, err = strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
	default:
		if _, err := strconv.ParseFloat(n.Value, 64); n.Style == 0 && errors.Is(err, strconv.ErrRange) {
			d.fail(n, "is the number %s, which is out of range", n.Value)
			return
		}
		d.fail(n, "%s: expected a number", found(n))
		return
	}
	if err != nil || x-x != 0 {
		d.fail(n, "%s: expected a finite number", found(n))
		return
	}
	v.SetFloat(x)
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}
