package lab

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/tierwall/tierwall/policy"
)

func TestMain(m *testing.M) {
	if err := Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // the tests say so as well, and skip
	}
	os.Exit(m.Run())
}

// world builds the lab that most tests use: two pods and the outside world.
func world(t testing.TB) *Lab {
	t.Helper()
	Require(t)
	l, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, cfg := range []HostConfig{
		{Name: "web", Addrs: addrs("10.0.1.1", "fd00:1::1")},
		{Name: "app", Addrs: addrs("10.0.1.2", "10.0.1.3", "fd00:1::2"), Interface: "cali-app"},
		{Name: "outside", Addrs: addrs("192.0.2.1", "2001:db8::1"), Nets: []netip.Prefix{
			netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:1::/48"),
		}},
	} {
		if _, err := l.AddHost(cfg); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func addrs(texts ...string) (out []netip.Addr) {
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

func TestAddHostRefuses(t *testing.T) {
	l := world(t)
	for _, test := range []struct {
		cfg  HostConfig
		want string
	}{
		{HostConfig{Addrs: addrs("10.0.9.9")}, "a name is one word"},
		{HostConfig{Name: "a b", Addrs: addrs("10.0.9.9")}, "a name is one word"},
		{HostConfig{Name: "web", Addrs: addrs("10.0.9.9")}, "already a host of that name"},
		{HostConfig{Name: "x"}, "it has no address"},
		{HostConfig{Name: "x", Addrs: []netip.Addr{{}}}, "not a plain IPv4 or IPv6 address"},
		{HostConfig{Name: "x", Addrs: addrs("::ffff:10.0.9.9")}, "not a plain IPv4 or IPv6 address"},
		{HostConfig{Name: "x", Addrs: addrs("10.0.9.9", "10.0.9.9")}, "occurs twice"},
		{HostConfig{Name: "x", Addrs: addrs("10.0.1.1")}, "10.0.1.1 belongs to host web already"},
		{HostConfig{Name: "x", Addrs: addrs("172.31.255.1")}, "belongs to host node already"},
		{HostConfig{Name: "x", Addrs: addrs("10.0.9.9"), Interface: "cali-app"}, "leads to host app already"},
		{HostConfig{Name: "x", Addrs: addrs("10.0.9.9"), Interface: "0123456789abcdef"}, "longer than 15"},
		{HostConfig{Name: "x", Addrs: addrs("10.0.9.9"), Interface: "a/b"}, "make link a/b"},
		{HostConfig{Name: "x", Addrs: addrs("10.0.9.9"),
			Nets: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}}, "without host bits"},
		{HostConfig{Name: "x", Addrs: addrs("10.0.9.9"),
			Nets: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}}, "no address of its family"},
	} {
		if _, err := l.AddHost(test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q", test.cfg, err, test.want)
		}
	}
	// What was refused left nothing behind.
	if _, err := l.AddHost(HostConfig{Name: "x", Addrs: addrs("10.0.9.9")}); err != nil {
		t.Error(err)
	}
}

func TestFindHosts(t *testing.T) {
	l := world(t)
	app := l.Host("app")
	if app == nil || app.Interface() != "cali-app" || len(app.Addrs()) != 3 ||
		app.Addr4() != netip.MustParseAddr("10.0.1.2") || app.Addr6() != netip.MustParseAddr("fd00:1::2") {
		t.Errorf("app is %+v", app)
	}
	if l.Host("nobody") != nil || l.Host("node") != l.Node() || len(l.Hosts()) != 3 {
		t.Error("hosts are not found by name")
	}
	for a, want := range map[string]*Host{
		"10.0.1.3": app, "198.51.100.1": l.Host("outside"), "172.31.255.1": l.Node(), "8.8.8.8": nil,
	} {
		if got := l.Owner(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s belongs to %v, want %v", a, got, want)
		}
	}
}

func TestRemove(t *testing.T) {
	l := world(t)
	app := l.Host("app")
	probe := func() Outcome { return l.Probe(t.Context(), flow(t, "10.0.1.1 -> 10.0.1.2 TCP 80"), 0) }
	if o := probe(); o.Verdict != Allowed {
		t.Error(o.Detail)
	}
	if err := l.Remove(app); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(app); err == nil {
		t.Error("it was removed twice")
	}
	if o := probe(); o.Verdict != Failed {
		t.Errorf("%s: %s", o.Verdict, o.Detail)
	}
	if err := app.Do(func() error { return nil }); err == nil {
		t.Error("a removed host still runs functions")
	}
	// Its name, addresses and interface are free again.
	if _, err := l.AddHost(HostConfig{Name: "app", Addrs: addrs("10.0.1.2"), Interface: "cali-app"}); err != nil {
		t.Fatal(err)
	}
	if o := probe(); o.Verdict != Allowed {
		t.Error(o.Detail)
	}
}

func TestCloseTwice(t *testing.T) {
	l := world(t)
	if o := l.Probe(t.Context(), flow(t, "10.0.1.1 -> 10.0.1.2 TCP 80"), 0); o.Verdict != Allowed {
		t.Error(o.Detail)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.AddHost(HostConfig{Name: "x", Addrs: addrs("10.0.9.9")}); err == nil {
		t.Error("a closed lab takes hosts")
	}
}

func TestDo(t *testing.T) {
	l := world(t)
	wrong := errors.New("wrong")
	if err := l.Host("web").Do(func() error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("error %v", err)
	}
	if err := l.Host("web").Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("Goexit looks like success")
	}
	inner := func(h *Host) (id string) {
		err := h.Do(func() error {
			ns, err := netns.Get()
			if err == nil {
				id = ns.UniqueId()
				err = ns.Close()
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return id
	}
	ns, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close() //nolint:errcheck // the test is over
	ids := map[string]string{ns.UniqueId(): "the process"}
	for _, h := range append(l.Hosts(), l.Node()) {
		id := inner(h)
		if ids[id] != "" {
			t.Errorf("%s is in the namespace of %s", h.Name(), ids[id])
		}
		ids[id] = h.Name()
	}
	// No thread stayed in one of them.
	for range 50 {
		now, err := netns.Get()
		if err != nil {
			t.Fatal(err)
		}
		if !now.Equal(ns) {
			t.Fatal("a thread stayed in another namespace")
		}
		if err := now.Close(); err != nil {
			t.Error(err)
		}
		runtime.Gosched()
	}
}

// Commands started in a host run there; other programs find the host by the
// command that EnterCommand gives.
func TestCommands(t *testing.T) {
	l := world(t)
	cmd := exec.Command("cat", "/proc/thread-self/net/dev")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := l.Host("web").Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "eth0:") {
		t.Errorf("%s: %v\n%s", cmd, err, &out)
	}
	if !inside() { // nobody can enter the user namespace that they are in
		tryEnterCommand(t, l.Host("web").EnterCommand(), nil)
	}
}

func tryEnterCommand(t *testing.T, command string, user *syscall.Credential) {
	t.Helper()
	if _, err := exec.LookPath("nsenter"); err != nil {
		t.Logf("EnterCommand not tried: %v", err)
		return
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command+" cat /proc/thread-self/net/dev")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "eth0:") {
		t.Errorf("%s: %v\n%s", cmd, err, out)
	}
}

func TestHTTP(t *testing.T) {
	l := world(t)
	if err := l.Host("app").Serve(policy.TCP, 80); err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: l.Host("web").DialContext}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://[fd00:1::2]/path?query")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	words := strings.Fields(string(body))
	if err != nil || resp.StatusCode != 200 || len(words) != 3 || words[0] != "app" ||
		!strings.HasPrefix(words[1], "[fd00:1::1]:") || words[2] != "/path?query" {
		t.Errorf("%s %q, %v", resp.Status, body, err)
	}
}

// The namespace that the process lives in stays as it was.
func TestNothingChangesOutside(t *testing.T) {
	read := func() string {
		var all strings.Builder
		for _, file := range []string{"net/dev_snmp6", "net/if_inet6", "net/route", "net/ipv6_route", "sys/net/ipv4/ip_forward"} {
			if b, err := os.ReadFile("/proc/thread-self/" + strings.Replace(file, "sys/", "../../sys/", 1)); err == nil {
				all.Write(b)
			}
		}
		return all.String()
	}
	before := read()
	l := world(t)
	if after := read(); after != before {
		t.Errorf("before:\n%s\nwith a lab:\n%s", before, after)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
