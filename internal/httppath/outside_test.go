package httppath_test

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/httppath"
)

// none stands for a path without a normal form: no rule with paths matches.
const none = ""

// refused stands for a path that the other side itself answers with an error, or
// matches with nothing.
const refused = "refused"

// outside are facts about what others make of paths: of the tests of Envoy's path
// normalization, of Istio's (where MERGE_SLASHES is set), of Calico's matching of
// requests, and of RFC 3986 (5.2.4 and 5.4).
var outside = []struct {
	of, target string
	theirs     string // the path they go by
	ours       string // of the target as it is
	why        string // where they differ
}{
	// Where there is nothing to normalize, all agree.
	{"envoy", "/xyz", "/xyz", "/xyz", ""},
	{"envoy", "/x/y/z", "/x/y/z", "/x/y/z", ""},
	{"envoy", "/A/B/C", "/A/B/C", "/A/B/C", ""},
	{"istio", "/", "/", "/", ""},
	{"istio", "/Admin", "/Admin", "/Admin", ""},
	{"istio", "/.../admin", "/.../admin", "/.../admin", ""},
	{"istio", "/0x2e0x2e/admin", "/0x2e0x2e/admin", "/0x2e0x2e/admin", ""},
	{"istio", "/admin,a=b/xyz", "/admin,a=b/xyz", "/admin,a=b/xyz", ""},
	{"calico", "/public", "/public", "/public", ""},
	{"calico", "/public/%66ile", "/public/file", "/public/file", ""},
	{"rfc", "/b/c/g..", "/b/c/g..", "/b/c/g..", ""},
	{"rfc", "/b/c/..g", "/b/c/..g", "/b/c/..g", ""},

	// One spelling each.
	{"istio", "/app/", "/app/", "/app", "a slash at the end says nothing here"},
	{"calico", "/public/", "/public", "/public", ""},
	{"calico", "/public%3Ffoo", "/public?foo", "/public%3Ffoo", "the same path, written with its escape"},
	{"calico", "/public/../admin?q=1", "/admin", none, "dots are for the proxy to resolve"},

	// Segments of dots and empty ones: exact once a proxy has resolved them.
	{"envoy", "/a/b/../c", "/a/c", none, "dots are for the proxy to resolve"},
	{"envoy", "/a/b/./c", "/a/b/c", none, "dots are for the proxy to resolve"},
	{"envoy", "/a/b/../../../../c", "/c", none, "dots are for the proxy to resolve"},
	{"envoy", "/a/b/%2E%2E/c", "/a/c", none, "dots are for the proxy to resolve"},
	{"envoy", "/a/b/%2e./c", "/a/c", none, "dots are for the proxy to resolve"},
	{"envoy", "/../a/b", "/a/b", none, "dots are for the proxy to resolve"},
	{"istio", "/app/%2E./admin", "/admin", none, "dots are for the proxy to resolve"},
	{"istio", "/app//../admin", "/app/admin", none, "dots are for the proxy to resolve: Calico's reading is /admin"},
	{"istio", "/app//", "/app/", none, "slashes are for the proxy to join"},
	{"istio", "/xyz%30..//abc", "/xyz0../abc", none, "slashes are for the proxy to join"},
	{"calico", "/public/../admin", "/admin", none, "dots are for the proxy to resolve"},
	{"calico", "/public/.", "/public", none, "dots are for the proxy to resolve"},
	{"calico", "/..", "/", none, "dots are for the proxy to resolve"},
	{"calico", "//public", "/public", none, "slashes are for the proxy to join"},
	{"calico", "/public//foo", "/public/foo", none, "slashes are for the proxy to join"},
	{"calico", "/public//../admin", "/admin", none, "Envoy's reading is /public/admin"},
	{"rfc", "/a/b/c/./../../g", "/a/g", none, "dots are for the proxy to resolve"},
	{"rfc", "/b/c/./g/.", "/b/c/g/", none, "dots are for the proxy to resolve"},
	{"rfc", "/b/c/g/../h", "/b/c/h", none, "dots are for the proxy to resolve"},

	// What some take for a separator.
	{"envoy", `/a/..\c`, "/c", none, "the proxy forwards it with '/'"},
	{"istio", `/app\admin`, "/app/admin", none, "the proxy forwards it with '/'"},
	{"istio", "/app/%2f", "/app/%2f", none, "Istio forwards it encoded, and servers differ"},
	{"istio", `/%2Fapp%5cadmin%5Cabc`, `/%2Fapp%5cadmin%5Cabc`, none, "Istio forwards it encoded, and servers differ"},
	{"envoy", "/%5c%25", "/%5c%25", none, "Envoy forwards it encoded, and servers differ"},
	{"calico", "/public%2F..%2Fadmin", "/admin", none, "servers that do not decode first read one segment"},
	{"calico", `/public/foo\bar`, "/public/foo/bar", none, "servers that take it for a character read one segment"},
	{"calico", "/public%5C..%5Cadmin", "/admin", none, "servers that take it for a character read one segment"},

	// What some cut at.
	{"istio", "/..;/admin", "/..;/admin", none, "servers that cut at ';' resolve it then"},
	{"istio", "/admin;a=b", "/admin;a=b", none, "servers that cut at ';' read /admin"},
	{"calico", "/public/foo;x=1", "/public/foo", none, "servers that do not cut there read another path"},
	{"calico", "/public/..;x/admin", "/admin", none, "servers that do not cut there read /public/..;x/admin"},
	{"calico", "/public/..%3Bx/admin", "/admin", none, "servers that do not cut there read another path"},
	{"calico", "/foo#xyz", "/foo", none, "a request has no fragment: servers differ"},
	{"istio", "/app#foo", "/app", none, "a request has no fragment: servers differ"},

	// What some decode twice, or otherwise than UTF-8.
	{"istio", "/%252e%252e/admin", "/%252e%252e/admin", none, "servers that decode twice resolve it"},
	{"istio", "/%c0%ae%c0%ae/admin", "/%c0%ae%c0%ae/admin", none, "servers that take overlong UTF-8 resolve it"},
	{"istio", "/%c1%9cadmin", "/%c1%9cadmin", none, "servers that take overlong UTF-8 read '\\'"},
	{"envoy", "/%c0%af", "/%c0%af", none, "servers that take overlong UTF-8 read '/'"},
	{"calico", "/public/%252e%252e/admin", refused, none, ""},
	{"calico", "/public%252fadmin", refused, none, ""},
	{"calico", "/public/%25%32%65%25%32%65/admin", refused, none, ""},

	// What is refused by all.
	{"envoy", "/xyz/.%00../abc", refused, none, ""},
	{"envoy", "/xyz/AAAAA%%0000/abc", refused, none, ""},
	{"istio", "/admin%00", refused, none, ""},
	{"calico", "/public%00/admin", refused, none, ""},
	{"calico", "/public/foo\x00bar", refused, none, ""},
	{"calico", "/%XY/admin", refused, none, ""},
	{"calico", "relative/path", refused, none, ""},
	{"calico", "http://example.com/admin", refused, none, ""},
	{"calico", `\public\..\admin`, "/admin", none, "it does not begin with '/'"},
	{"envoy", "a/b/../c", "/a/c", none, "it does not begin with '/'"},
}

// TestOutside checks each fact, and that the difference is always to the same side:
// where there is a normal form, it is what the others go by too.
func TestOutside(t *testing.T) {
	for _, c := range outside {
		got, err := httppath.Normalize(c.target)
		if got != c.ours || (err == nil) != (c.ours != none) {
			t.Errorf("%s's %q: got %q, %v, want %q", c.of, c.target, got, err, c.ours)
			continue
		}
		same := c.theirs == c.ours || c.theirs == refused && c.ours == none
		if !same && c.why == "" {
			t.Errorf("%s's %q is %q to them and %q here, for no reason", c.of, c.target, c.theirs, c.ours)
		}
		if c.ours == none {
			continue
		}
		theirs, err := httppath.Normalize(strings.ReplaceAll(c.theirs, "?", "%3F"))
		if theirs != c.ours || err != nil {
			t.Errorf("%s's %q: they go by %q, which is %q, %v here, not %q", c.of, c.target, c.theirs, theirs, err, c.ours)
		}
	}
}

var escapedUnreserved = regexp.MustCompile(`(?i)%(2d|2e|3[0-9]|4[1-9a-f]|5[0-9a]|5f|6[1-9a-f]|7[0-9a]|7e)`)

// proxied is what a proxy forwards whose settings are those of docs/http.md: it
// rejects encoded slashes, decodes unreserved characters, takes '\' for '/',
// resolves dots as RFC 3986 has it, and joins slashes, in this order.
func proxied(target string) (string, bool) {
	p, query, asks := strings.Cut(target, "?")
	low := strings.ToLower(p)
	if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "#\x00") {
		return "", false
	}
	for _, bad := range []string{"%2f", "%5c", "%00"} {
		if strings.Contains(low, bad) {
			return "", false
		}
	}
	p = escapedUnreserved.ReplaceAllStringFunc(p, func(s string) string {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return s
		}
		return plain
	})
	out := []string{}
	segments := strings.Split(strings.ReplaceAll(p, `\`, "/"), "/")[1:]
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case "..":
			out = out[:max(0, len(out)-1)]
		case ".":
		default:
			out = append(out, s)
			continue
		}
		if last {
			out = append(out, "")
		}
	}
	p = "/" + strings.Join(out, "/")
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	if asks {
		p += "?" + query
	}
	return p, true
}

// TestProxied holds that model against Envoy's and Istio's facts, and checks what
// docs/http.md says of requests that come through such a proxy.
func TestProxied(t *testing.T) {
	for _, c := range outside {
		if c.of != "envoy" && c.of != "istio" || strings.Contains(c.target, "#") || !strings.HasPrefix(c.target, "/") || strings.Contains(c.target, "%%") {
			continue
		}
		low := strings.ToLower(c.target)
		rejects := strings.Contains(low, "%2f") || strings.Contains(low, "%5c") // by the one setting that those tests have otherwise
		if got, ok := proxied(c.target); ok != (c.theirs != refused && !rejects) || ok && got != c.theirs {
			t.Errorf("%s's %q: the model says %q, %v, they say %q", c.of, c.target, got, ok, c.theirs)
		}
	}
	for target, want := range map[string]string{ // with "prefix: /items"; "" is denied
		"/items/4?x=y": "/items/4", "/%69tems/4": "/items/4", "/items/": "/items", "/ITEMS": "", "/itemsx": "",
		"/items/a/../4": "/items/4", "/items/./4": "/items/4", "//items//4": "/items/4",
		"/items/../admin": "", "/items/%2e%2e/admin": "", `/items\..\admin`: "",
		"/items%2F4": "", "/items%5C4": "", "/items%00": "", "/items;a=b": "", "/items%252e": "", "/items%ff": "", "/items%zz": "",
	} {
		got := ""
		if forwarded, ok := proxied(target); ok {
			normal, err := httppath.Normalize(forwarded)
			if err == nil && (normal == "/items" || strings.HasPrefix(normal, "/items/")) {
				got = normal
			}
		}
		if got != want {
			t.Errorf("%q through a proxy: allowed as %q, want %q", target, got, want)
		}
	}
}

// readings are what servers make of a path.
var readings = map[string]func(string) string{
	"as it is": func(p string) string { return p },
	"decoded": func(p string) string {
		d, err := url.PathUnescape(p)
		if err != nil {
			return p
		}
		return d
	},
	"decoded and cleaned": func(p string) string {
		d, err := url.PathUnescape(p)
		if err != nil {
			return p
		}
		return path.Clean(strings.ReplaceAll(d, `\`, "/"))
	},
	"cut at ;": func(p string) string {
		d, err := url.PathUnescape(p)
		if err != nil {
			return p
		}
		return regexp.MustCompile(`;[^/]*`).ReplaceAllString(d, "")
	},
	"cut at #":   func(p string) string { p, _, _ = strings.Cut(p, "#"); return p },
	"cut at NUL": func(p string) string { p, _, _ = strings.Cut(p, "\x00"); return p },
}

// FuzzReadings checks that a path with a normal form is read alike by all, and that
// a proxy which normalizes leaves its form as it is.
func FuzzReadings(f *testing.F) {
	for _, c := range outside {
		f.Add(c.target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		normal, err := httppath.Normalize(target)
		forwarded, ok := proxied(target)
		if err == nil && !ok {
			t.Fatalf("%q is %q, though a proxy refuses it", target, normal)
		}
		if ok {
			after, afterErr := httppath.Normalize(forwarded)
			if err == nil && (afterErr != nil || after != normal) {
				t.Fatalf("%q is %q, but %q (%v) once a proxy has made it %q", target, normal, after, afterErr, forwarded)
			}
		}
		if err != nil {
			return
		}
		written, _, _ := strings.Cut(target, "?")
		want := readings["decoded"](normal)
		for name, read := range readings {
			got := readings["decoded"](read(written))
			if len(got) > 1 {
				got = strings.TrimSuffix(got, "/")
			}
			if got != want {
				t.Fatalf("%q: read %s it is %q, its normal form says %q", target, name, got, want)
			}
		}
	})
}
