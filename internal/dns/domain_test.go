package dns

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDomainHolds(t *testing.T) {
	for _, tt := range []struct {
		domain, name string
		want         bool
	}{
		{"www.example.com", "www.example.com", true},
		{"WWW.Example.com.", "www.example.com", true},
		{"www.example.com", "example.com", false},
		{"www.example.com", "a.www.example.com", false},
		{"*.example.com", "www.example.com", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "myexample.com", false},
		{"*.example.com", ".example.com", false},
		{"*.com", "example.com", true},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", true},
		{"_dmarc.example", "_dmarc.example", true},
	} {
		d, err := ParseDomain(tt.domain)
		if err != nil {
			t.Errorf("%s: %v", tt.domain, err)
			continue
		}
		if got := d.Holds(tt.name); got != tt.want {
			t.Errorf("%s holds %s: %v", tt.domain, tt.name, got)
		}
	}
}

// holds is the reference: label by label, from the end.
func holds(domain, name string) bool {
	ds, ns := strings.Split(domain, "."), strings.Split(name, ".")
	below := ds[0] == "*"
	if below {
		ds = ds[1:]
	}
	if below && len(ns) <= len(ds) || !below && len(ns) != len(ds) {
		return false
	}
	for i := range ds {
		if ds[len(ds)-1-i] != ns[len(ns)-1-i] {
			return false
		}
	}
	return true
}

func drawName(t *rapid.T, label string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "c"}), 1, 4).Draw(t, label), ".")
}

func drawDomain(t *rapid.T, label string) string {
	return rapid.SampledFrom([]string{"", "*."}).Draw(t, label+" wild") + drawName(t, label)
}

func TestHoldsLikeTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		domain, name := drawDomain(t, "domain"), drawName(t, "name")
		d, err := ParseDomain(domain)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := d.Holds(name), holds(domain, name); got != want {
			t.Errorf("%s holds %s: %v, want %v", domain, name, got, want)
		}
	})
}

// FuzzParseDomain: whatever is accepted has a form that is accepted as itself, and
// holds names only.
func FuzzParseDomain(f *testing.F) {
	for _, s := range []string{"a.example", "*.b.example.", "*", "*.", "", ".", "a..b", "A.B", "bücher.de", strings.Repeat("a.", 127) + "a", strings.Repeat("\x02", 3000) + "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDomain(text)
		if err != nil {
			if err.Error() == "" || len(err.Error()) > 1000 {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again, err := ParseDomain(d.String())
		if err != nil || again != d {
			t.Errorf("%q is %v, and that is %v: %v", text, d, again, err)
		}
		if d.Name != strings.ToLower(d.Name) || len(d.Name) > maxName || checkName(d.Name) != nil {
			t.Errorf("%q: %q is no name in normal form", text, d.Name)
		}
	})
}
