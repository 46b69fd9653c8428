package source

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// isLowerAlnum, isAlnum: the characters that names and label values start and end with.
func isLowerAlnum(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
func isAlnum(c byte) bool      { return isLowerAlnum(c) || 'A' <= c && c <= 'Z' }

// isDNSLabel reports whether s is a DNS-1123 label.
func isDNSLabel(s string) bool {
	if s == "" || len(s) > 63 || !isLowerAlnum(s[0]) || !isLowerAlnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !isLowerAlnum(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// IsNamespaceName reports whether a namespace can have this name.
func IsNamespaceName(name string) bool { return isDNSLabel(name) }

// isDNSName reports whether s is a DNS-1123 subdomain.
func isDNSName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		// A part of a subdomain may be longer than 63, unlike a label.
		if part == "" || !isLowerAlnum(part[0]) || !isLowerAlnum(part[len(part)-1]) {
			return false
		}
		for i := range len(part) {
			if !isLowerAlnum(part[i]) && part[i] != '-' {
				return false
			}
		}
	}
	return true
}

// isLabelWord reports whether s is a label's value or the name in its key: at
// most 63 of A-Z a-z 0-9 - _ . that start and end with a letter or digit.
func isLabelWord(s string) bool {
	if s == "" || len(s) > 63 || !isAlnum(s[0]) || !isAlnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isLabelKey(s string) bool {
	if prefix, name, found := strings.Cut(s, "/"); found {
		return isDNSName(prefix) && isLabelWord(name)
	}
	return isLabelWord(s)
}

// name checks metadata.name: a DNS subdomain.
func (ps *Problems) name(name string) {
	if !isDNSName(name) {
		ps.add("metadata.name", "%q is no valid name: expected lower case letters, digits, '-' and '.', starting and ending with a letter or digit, at most 253", name)
	}
}

// shortName checks names that may have no dots: a DNS label.
func (ps *Problems) shortName(field, name, what string) {
	if !isDNSLabel(name) {
		ps.add(field, "%q is no valid name of a %s: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63", name, what)
	}
}

// labels checks labels as an API server would.
func (ps *Problems) labels(field string, labels map[string]string) {
	for k, v := range labels {
		if !isLabelKey(k) {
			ps.add(field+"."+k, "%q is no valid label: expected a name, or a DNS name, '/' and a name; a name has letters, digits, '-', '_' and '.', starts and ends with a letter or digit, at most 63", k)
		}
		if v != "" && !isLabelWord(v) {
			ps.add(field+"."+k, "%q is no valid value of a label: expected letters, digits, '-', '_' and '.', starting and ending with a letter or digit, at most 63", v)
		}
	}
}

// setLabels checks the labels of a network set: what a selector sees as its
// namespace is not for the set to say.
func (ps *Problems) setLabels(labels map[string]string) {
	ps.labels("metadata.labels", labels)
	if _, found := labels[labelNamespace]; found {
		ps.add("metadata.labels."+labelNamespace, "is set by the system: remove it")
	}
}

// selector parses a selector in which global() has no meaning. An empty one is
// all(), also where it cannot be parsed.
func (ps *Problems) selector(field, text string) *selector.Selector {
	s := ps.anySelector(field, text)
	if s.UsesGlobal() {
		ps.add(field, "global() can only be used as the whole namespaceSelector of a rule's source or destination")
		return selector.All()
	}
	return s
}

func (ps *Problems) anySelector(field, text string) *selector.Selector {
	s, err := selector.Parse(text)
	if err != nil {
		ps.add(field, "%v", err)
		return selector.All()
	}
	return s
}

// blank reports whether a selector of a rule says nothing, as if it were absent.
func blank(text string) bool { return strings.Trim(text, " \t") == "" }

// word checks that a value is one of the known ones.
func (ps *Problems) word(field, value string, known ...string) bool {
	if slices.Contains(known, value) {
		return true
	}
	if value == "" {
		ps.add(field, "is missing: expected %s", suggest.OrList(known))
	} else {
		ps.add(field, "%q: expected %s%s", value, suggest.OrList(known), suggest.DidYouMean(value, known))
	}
	return false
}

// parseNet parses a CIDR; host bits are masked off. A plain address is accepted
// where bare is true.
func parseNet(text string, bare bool) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, aerr := netip.ParseAddr(text)
		if aerr != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf(`%q is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"`, text)
		}
		if !bare {
			return netip.Prefix{}, fmt.Errorf("%q is no CIDR; did you mean %q?", text, netip.PrefixFrom(a, a.BitLen()).String())
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 address written as IPv6: write it as IPv4", text)
	}
	return p.Masked(), nil
}

// nets parses a list of CIDRs, in order, each once.
func (ps *Problems) nets(field string, texts []string, bare bool) []netip.Prefix {
	var out []netip.Prefix
	seen := make(map[netip.Prefix]bool, len(texts))
	for i, text := range texts {
		p, err := parseNet(text, bare)
		if err != nil {
			ps.add(at(field, i), "%v", err)
			continue
		}
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// parseAddr parses one address, with or without a prefix length that leaves
// only one.
func parseAddr(text string) (netip.Addr, error) {
	p, err := parseNet(text, true)
	if err != nil {
		return netip.Addr{}, fmt.Errorf(`%q is no address: expected one such as "192.0.2.1" or "192.0.2.1/32"`, text)
	}
	if !p.IsSingleIP() {
		return netip.Addr{}, fmt.Errorf("%q holds more than one address: expected a single one, such as %q", text, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()).String())
	}
	return p.Addr(), nil
}

// portedProtocol checks the protocol of something with ports.
func (ps *Problems) portedProtocol(field, text string) policy.Protocol {
	p, err := policy.ParseProtocol(text)
	if err != nil || !p.HasPorts() {
		ps.add(field, "%q has no ports: expected TCP, UDP or SCTP%s", text, suggest.DidYouMean(text, []string{"TCP", "UDP", "SCTP"}))
	}
	return p
}

// portNumber checks a port of an endpoint.
func (ps *Problems) portNumber(field string, n int64) uint16 {
	if n < 1 || n > 65535 {
		ps.add(field, "%s is no port: expected a number from 1 to 65535", strconv.FormatInt(n, 10))
		return 0
	}
	return uint16(n)
}
