package ends

import (
	"testing"

	"github.com/tierwall/tierwall/internal/dns"
)

// FuzzResolveFlag: whatever --resolve says, it is names and addresses in normal form, or
// an error.
func FuzzResolveFlag(f *testing.F) {
	for _, text := range []string{"www.example.com=192.0.2.1", "A.example.=b.example=2001:db8::1,192.0.2.1", "*.example=192.0.2.1", "=", "a=b=c", "a=fe80::1%eth0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var flag ResolveFlag
		if flag.parse(text) != nil {
			return
		}
		if len(flag.facts) == 0 {
			t.Errorf("%q says nothing", text)
		}
		for _, r := range flag.facts {
			if d, err := dns.ParseDomain(r.Name); err != nil || d.Below || d.Name != r.Name || !r.Addr.IsValid() || r.Addr.Is4In6() || r.Addr.Zone() != "" {
				t.Errorf("%q: %+v", text, r)
			}
		}
		for _, m := range flag.aliases {
			if d, err := dns.ParseDomain(m.Alias); err != nil || d.Below || m.Asked != flag.facts[0].Name {
				t.Errorf("%q: %+v", text, m)
			}
		}
	})
}
