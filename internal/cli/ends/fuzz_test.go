package ends_test

import (
	"testing"

	"github.com/tierwall/tierwall/internal/cli/ends/endstest"
)

// FuzzResolve returns any text as an end of a connection: it is an end with an
// address, or an error that says something.
func FuzzResolve(f *testing.F) {
	for _, text := range []string{
		"", "web/web-1", "data/deploy/cache", "api/rollout/api", "node/node-1", "node/", "/", "//", "a//b", "10.0.0.1", "::ffff:10.0.0.1",
		"fe80::1%x", "10.0.0.0/8", "::/0", "data/postgres", "web-1", "data/svc/x", "\x00/\xff", "é/ü/ö",
	} {
		f.Add(text)
	}
	r := endstest.Resolver()
	f.Fuzz(func(t *testing.T, text string) {
		e, err := r.Resolve(text)
		switch {
		case err == nil && (e.Name == "" || len(e.Addrs) == 0):
			t.Errorf("%q gives an end without name or address: %+v", text, e)
		case err != nil && err.Error() == "":
			t.Errorf("%q gives an error without words", text)
		}
	})
}
