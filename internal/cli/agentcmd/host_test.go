package agentcmd

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/policy"
)

// The defaults read as they are written, and nothing that is read makes it fail.
func FuzzFailsafes(f *testing.F) {
	in, out := policy.DefaultFailsafes()
	for _, list := range [][]policy.Failsafe{in, out} {
		got, err := parseFailsafes(failsafeTexts(list))
		if diff := cmp.Diff(list, got); err != nil || diff != "" {
			f.Errorf("%v %s", err, diff)
		}
	}
	for _, text := range []string{"tcp:22", "udp:0", "icmp:8", "none", "tcp", ":22", " SCTP:65535", "6:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseFailsafes([]string{text})
		for _, s := range list {
			if err != nil || !s.Protocol.HasPorts() || s.Port == 0 {
				t.Errorf("%q: %v %v", text, s, err)
			}
		}
		if again, err := parseFailsafes(failsafeTexts(list)); err != nil || !cmp.Equal(list, again) {
			t.Errorf("%q: %v reads as %v, %v", text, list, again, err)
		}
	})
}

func TestServerAddress(t *testing.T) {
	for host, want := range map[string]string{
		"https://192.0.2.1:6443": "192.0.2.1:6443", "https://[2001:db8::1]:443": "[2001:db8::1]:443", "https://192.0.2.1": "192.0.2.1:443",
		"http://192.0.2.1": "192.0.2.1:80", "192.0.2.1:8443": "192.0.2.1:8443", "https://[2001:db8::1]": "[2001:db8::1]:443",
		"https://api.example:6443": "", "": "",
	} {
		got, text := serverAddress(host), ""
		if got != (netip.AddrPort{}) {
			text = got.String()
		}
		if text != want {
			t.Errorf("%q: got %q, want %q", host, text, want)
		}
	}
}
