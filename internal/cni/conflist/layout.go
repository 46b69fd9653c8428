package conflist

import (
	"bytes"
	"encoding/json"
)

// lead returns the white space before a plugin.
func (l *list) lead(i int) []byte {
	from := l.open
	if i > 0 {
		from = l.plugins[i-1].end
	}
	between := l.text[from:l.plugins[i].start]
	if comma := bytes.IndexByte(between, ','); comma >= 0 {
		between = between[comma+1:]
	}
	return bytes.Clone(between)
}

// layOut writes a JSON object in the manner of a plugin of the list.
func (l *list) layOut(entry []byte, like int) []byte {
	model, lead := l.of(l.plugins[like].span), l.lead(like)
	var out bytes.Buffer
	newline := bytes.LastIndexByte(lead, '\n')
	inner, isOpen := innerIndent(model)
	if newline >= 0 && isOpen {
		outer := lead[newline+1:]
		unit := bytes.TrimPrefix(inner, outer)
		if json.Indent(&out, entry, string(outer), string(unit)) == nil {
			if bytes.Contains(lead, []byte("\r\n")) {
				return bytes.ReplaceAll(out.Bytes(), []byte("\n"), []byte("\r\n"))
			}
			return out.Bytes()
		}
	}
	out.Reset()
	if json.Compact(&out, entry) != nil {
		return entry // Add has found it to be JSON
	}
	if bytes.Contains(model, []byte(`": `)) {
		return airy(out.Bytes())
	}
	return out.Bytes()
}

// innerIndent returns the indentation of an object's first field, if it has a line of its own.
func innerIndent(object []byte) ([]byte, bool) {
	rest := object[1:]
	indent := rest[:len(rest)-len(bytes.TrimLeft(rest, " \t\r\n"))]
	newline := bytes.LastIndexByte(indent, '\n')
	if newline < 0 {
		return nil, false
	}
	return indent[newline+1:], true
}

// airy puts a space behind every colon and comma of compact JSON that is not in a string.
func airy(compact []byte) []byte {
	var out []byte
	inString, escaped := false, false
	for _, c := range compact {
		out = append(out, c)
		switch {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case !inString && (c == ':' || c == ','):
			out = append(out, ' ')
		}
	}
	return out
}
