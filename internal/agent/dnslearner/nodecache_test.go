package dnslearner

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadSockets(t *testing.T) {
	const heading = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
	for _, tt := range []struct{ what, text, want string }{
		{"none", heading, "[]"},
		{"nothing", "", "[]"},
		{"a cache", heading + "  123: 0A14FEA9:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 0\n", "[169.254.20.10]"},
		{"other ports, and all addresses", heading + " 1: 0A14FEA9:1F90 00000000:0000\n 2: 00000000:0035 00000000:0000\n 3: 0100007F:0035 0:0\n", "[127.0.0.1]"},
		{"IPv6", heading + " 1: 000000FD000000000000000001000000:0035 0:0\n 2: 00000000000000000000000000000000:0035 0:0\n", "[fd00::1]"},
		{"IPv4 in IPv6", heading + " 1: 0000000000000000FFFF00000A14FEA9:0035 0:0\n", "[169.254.20.10]"},
		{"nonsense", heading + "x\n 1: zz:0035\n 2: 0A14FEA9\n 3: 0A14FEA9:35\n 4: 0A14:0035\n\n", "[]"},
	} {
		got, err := readSockets(strings.NewReader(tt.text), 53)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s: %v, %v, want %s", tt.what, got, err, tt.want)
		}
	}
}

func FuzzReadSockets(f *testing.F) {
	f.Add("heading\n 1: 0A14FEA9:0035 00000000:0000 07\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, _ := readSockets(strings.NewReader(text), 53)
		for _, a := range found {
			if !a.IsValid() || a.Is4In6() || a.IsUnspecified() {
				t.Errorf("%q: %v", text, a)
			}
		}
	})
}
