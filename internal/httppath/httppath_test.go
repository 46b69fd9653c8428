package httppath_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/httppath"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ target, want string }{
		{"/", "/"},
		{"/a/b", "/a/b"},
		{"/a/b?c=/../d#e", "/a/b"},
		{"/a?", "/a"},
		{"/?a", "/"},
		{"/a/", "/a"}, // a slash at the end says nothing
		{"/A/b", "/A/b"},
		{"/%61%7E%2d%2E%5f", "/a~-._"},
		{"/a%20b", "/a%20b"},
		{"/caf%c3%a9", "/caf%C3%A9"},
		{"/café", "/caf%C3%A9"},
		{"/a%2bb", "/a%2Bb"},
		{"/a+b", "/a+b"},
		{"/a!$&'()*+,=:@", "/a!$&'()*+,=:@"},
		{`/a"<>[]^{|}` + "`", "/a%22%3C%3E%5B%5D%5E%7B%7C%7D%60"},
		{"/...", "/..."},
		{"/.well-known/x", "/.well-known/x"},
		{"/a..b/..c", "/a..b/..c"},
		{"/a%3Fb", "/a%3Fb"},
	} {
		if got, err := httppath.Normalize(c.target); got != c.want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", c.target, got, err, c.want)
		}
	}
}

func TestNoNormalForm(t *testing.T) {
	for _, c := range []struct {
		target string
		want   error
		words  string
	}{
		{"", httppath.ErrAmbiguous, "no path"},
		{"*", httppath.ErrAmbiguous, "no path"},
		{"?a", httppath.ErrAmbiguous, "no path"},
		{"a/b", httppath.ErrMalformed, "begin with '/'"},
		{"http://a/b", httppath.ErrMalformed, "begin with '/'"},
		{"/a%", httppath.ErrMalformed, "hexadecimal"},
		{"/a%2", httppath.ErrMalformed, "hexadecimal"},
		{"/a%zz", httppath.ErrMalformed, "hexadecimal"},
		{"/a b", httppath.ErrMalformed, "space"},
		{"/a\x00", httppath.ErrMalformed, "control"},
		{"/a\r\nX: y", httppath.ErrMalformed, "control"},
		{"/a/../b", httppath.ErrAmbiguous, "'..'"},
		{"/a/..", httppath.ErrAmbiguous, "'..'"},
		{"/./a", httppath.ErrAmbiguous, "'.'"},
		{"/a/%2e%2E/b", httppath.ErrAmbiguous, "'..'"},
		{"/a/.%2e", httppath.ErrAmbiguous, "'..'"},
		{"//a", httppath.ErrAmbiguous, "two slashes"},
		{"/a//b", httppath.ErrAmbiguous, "two slashes"},
		{"/a//", httppath.ErrAmbiguous, "two slashes"},
		{"//", httppath.ErrAmbiguous, "two slashes"},
		{"/a%2fb", httppath.ErrAmbiguous, "encoded '/'"},
		{`/a\b`, httppath.ErrAmbiguous, `'\'`},
		{"/a%5cb", httppath.ErrAmbiguous, `'\'`},
		{"/a;b=c", httppath.ErrAmbiguous, "';'"},
		{"/a%3bb", httppath.ErrAmbiguous, "';'"},
		{"/%252e%252e/", httppath.ErrAmbiguous, "encoded '%'"},
		{"/a#b", httppath.ErrAmbiguous, "'#'"},
		{"/a%23b", httppath.ErrAmbiguous, "'#'"},
		{"/a%00b", httppath.ErrAmbiguous, "control"},
		{"/a%7f", httppath.ErrAmbiguous, "control"},
		{"/%c0%ae%c0%ae/", httppath.ErrAmbiguous, "UTF-8"},
		{"/a\xff", httppath.ErrAmbiguous, "UTF-8"},
		{"/．．/a", httppath.ErrAmbiguous, "take for"},
		{"/a%ef%bc%8fb", httppath.ErrAmbiguous, "take for"},
	} {
		got, err := httppath.Normalize(c.target)
		if got != "" || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%q: got %q, %v, want %v: ... %s", c.target, got, err, c.want, c.words)
		}
	}
}

// FuzzNormalize holds the normal form against two readings that servers have:
// as it stands, and decoded once and cleaned. Both must lead to the same segments.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"/", "/a/b?c", "/a/../b", "/%2e/%2F", "//x", "/caf%c3%a9/", `/\..\x`, "/a;b", "/%25", "/ /", "*", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got, err := httppath.Normalize(target)
		if err != nil {
			if got != "" || !errors.Is(err, httppath.ErrMalformed) && !errors.Is(err, httppath.ErrAmbiguous) {
				t.Fatalf("%q: %q, %v", target, got, err)
			}
			return
		}
		if again, err := httppath.Normalize(got); again != got || err != nil {
			t.Fatalf("%q: normal form %q is not one: %q, %v", target, got, again, err)
		}
		written, _, _ := strings.Cut(target, "?")
		decoded, err := url.PathUnescape(written)
		if err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		back, err := url.PathUnescape(got)
		if err != nil || path.Clean(decoded) != back {
			t.Fatalf("%q: a server that decodes and cleans reads %q, the normal form %q says %q, %v", target, path.Clean(decoded), got, back, err)
		}
		if strings.Count(got, "/") != strings.Count(strings.TrimSuffix(written, "/"), "/") && got != "/" {
			t.Fatalf("%q: %q has other segments", target, got)
		}
		if twice, err := url.PathUnescape(back); err == nil && twice != back {
			t.Fatalf("%q: a server that decodes twice reads %q", target, twice)
		}
	})
}

func BenchmarkNormalize(b *testing.B) {
	for name, target := range map[string]string{"plain": "/api/v1/orders/4711?x=y", "encoded": "/caf%c3%a9/a%20b"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := httppath.Normalize(target); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
