package dnslearner

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

func TestReadResolvConf(t *testing.T) {
	dir := t.TempDir()
	for i, tt := range []struct{ text, want string }{
		{"", "[]"},
		{"# comment\nsearch a.example\nnameserver 192.0.2.53\n  nameserver\t2001:db8::53 # two\noptions ndots:5\n", "[192.0.2.53 2001:db8::53]"},
		{"nameserver 127.0.0.53\nnameserver ::1\n", "[]"},
		{"nameserver\nnameserver x\nnameserver fe80::1%eth0\nNameserver 192.0.2.9\n", "[fe80::1]"},
		{"nameserver ::ffff:192.0.2.1\r\n", "[192.0.2.1]"},
	} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readResolvConf(path)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%q: %v, %v, want %s", tt.text, got, err, tt.want)
		}
	}
	if got, err := readResolvConf(filepath.Join(dir, "none")); err != nil || got != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
}

// TestDNSService: the addresses of the cluster's DNS service are trusted as long as
// it has them, unless servers are named.
func TestDNSService(t *testing.T) {
	list := servers{cfg: &Config{Service: DefaultService, ResolvConf: []string{}}}
	service := func(key policy.Key, ips ...string) store.Resource {
		s := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIPs: ips}}
		if len(ips) > 0 {
			s.Spec.ClusterIP = ips[0]
		}
		return store.Resource{Key: key, Object: s}
	}
	other := DefaultService
	other.Name = "other"
	for _, tt := range []struct {
		what  string
		batch store.Batch
		want  string
		news  bool
	}{
		{"nothing", store.Batch{}, "[]", false},
		{"another service", store.Batch{Updated: []store.Resource{service(other, "10.96.0.11")}}, "[]", false},
		{"two addresses", store.Batch{Updated: []store.Resource{service(DefaultService, "10.96.0.10", "fd00::a")}}, "[10.96.0.10 fd00::a]", true},
		{"the same again", store.Batch{Updated: []store.Resource{service(DefaultService, "10.96.0.10", "fd00::a")}}, "[10.96.0.10 fd00::a]", false},
		{"headless", store.Batch{Updated: []store.Resource{service(DefaultService, "None")}}, "[]", true},
		{"back", store.Batch{Updated: []store.Resource{service(DefaultService, "10.96.0.10")}}, "[10.96.0.10]", true},
		{"gone", store.Batch{Deleted: []policy.Key{DefaultService}}, "[]", true},
	} {
		news := list.follow(&tt.batch)
		if got := fmt.Sprint(list.list()); got != tt.want || news != tt.news {
			t.Errorf("%s: %s, news %v; want %s, %v", tt.what, got, news, tt.want, tt.news)
		}
	}
}
