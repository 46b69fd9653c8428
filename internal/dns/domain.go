package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Domain is a name, or all names below one, as policies refer to them. It is a
// comparable value in one form: in lower case, without a final dot.
type Domain struct {
	// Name is what it is, or what all its names end in.
	Name string
	// Below says that it is all names below Name, as in "*.example.com", and not
	// Name itself.
	Below bool
}

// String returns "www.example.com" or "*.example.com".
func (d Domain) String() string {
	if d.Below {
		return "*." + d.Name
	}
	return d.Name
}

// Holds reports whether a name, in normal form, is one of the domain's.
func (d Domain) Holds(name string) bool {
	if !d.Below {
		return name == d.Name
	}
	head, found := strings.CutSuffix(name, d.Name)
	return found && len(head) > 1 && head[len(head)-1] == '.'
}

const (
	maxName  = 253 // characters of a name, without the final dot
	maxLabel = 63
)

// ParseDomain reads a domain as policies write it: a DNS name, or "*." and a DNS
// name. Upper case and a final dot make no difference.
func ParseDomain(text string) (Domain, error) {
	name := strings.TrimSuffix(text, ".")
	name, below := strings.CutPrefix(name, "*.")
	switch {
	case text == "":
		return Domain{}, errors.New(`is empty: expected a name such as "www.example.com" or "*.example.com"`)
	case text == "*" || text == "*.":
		return Domain{}, fmt.Errorf("%q is every name there is: a rule without domains allows that", shorten(text))
	case name == "":
		return Domain{}, fmt.Errorf(`%q has no name: expected one such as "www.example.com" or "*.example.com"`, shorten(text))
	case !isASCII(text):
		return Domain{}, fmt.Errorf(`%q has characters that names in DNS do not have: write it as DNS knows it, in ASCII, each such part beginning with "xn--"`, shorten(text))
	case strings.Contains(name, "*"):
		return Domain{}, fmt.Errorf(`%q: "*" can only stand for whole parts of a name, and only at its beginning, as in "*.example.com"`, shorten(text))
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return Domain{}, fmt.Errorf("%q is an address, no name: write it in nets", shorten(text))
	}
	if err := checkName(name); err != nil {
		return Domain{}, fmt.Errorf("%q %w", shorten(text), err)
	}
	d := Domain{Name: strings.ToLower(name), Below: below}
	if len(d.String()) > maxName {
		return Domain{}, fmt.Errorf("%q has no names below it: they would have more than %d characters", shorten(text), maxName)
	}
	return d, nil
}

// checkName says why a name without a final dot is none; nil if it is one.
func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("has %d characters: a name has at most %d", len(name), maxName)
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return errors.New("has an empty part: expected one dot between two parts, and none at the beginning")
		case len(label) > maxLabel:
			return fmt.Errorf("has a part of %d characters: a part has at most %d", len(label), maxLabel)
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Errorf("has the part %q: a part neither begins nor ends with '-'", shorten(label))
		}
		for i := range len(label) {
			if !isNameByte(label[i]) {
				return fmt.Errorf("has the character %q: expected letters, digits, '-', '_' and '.'", label[i])
			}
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// shorten keeps a message readable that quotes what is far too long.
func shorten(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
