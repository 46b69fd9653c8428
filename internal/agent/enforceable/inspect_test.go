package enforceable

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/lab"
)

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // the tests skip
	}
	os.Exit(m.Run())
}

// inspected runs commands on a node and then looks. A command that this machine or kernel does not have skips the test.
func inspected(t *testing.T, commands ...string) Programs {
	t.Helper()
	lab.Require(t)
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var p Programs
	missing := ""
	err = l.Node().Do(func() error {
		for _, c := range commands {
			words := strings.Fields(c)
			if _, err := exec.LookPath(words[0]); err != nil {
				missing = err.Error()
				return nil
			}
			cmd := exec.Command(words[0], words[1:]...)
			cmd.Env = append(os.Environ(), "XTABLES_LOCKFILE="+filepath.Join(t.TempDir(), "lock"))
			if out, err := cmd.CombinedOutput(); err != nil {
				missing = fmt.Sprintf("%s: %v: %s", c, err, out)
				return nil
			}
		}
		p, err = Inspect()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if missing != "" {
		t.Skip("SKIPPED: this machine cannot: ", missing)
	}
	return p
}

func TestInspect(t *testing.T) {
	const redirect = "tc filter add dev v0 %s protocol all u32 match u32 0 0 action mirred egress redirect dev %s"
	links := []string{"ip link add v0 type veth peer name v1", "ip link add v2 type veth peer name v3"}
	for _, tt := range []struct {
		name     string
		commands []string
		want     Programs
	}{
		{"nothing", nil, Programs{}},
		{"others who enforce nothing", []string{
			"iptables-legacy -N KUBE-FORWARD", "iptables-nft -N DOCKER-USER",
			"nft add table inet filter", "nft add chain inet filter cali-FORWARD", "nft add table inet tierwall",
		}, Programs{}},
		{"Calico by nftables", []string{"nft add table ip calico"}, Programs{Engines: []string{"Calico"}}},
		{"Calico by iptables-nft", []string{"iptables-nft -N cali-FORWARD"}, Programs{Engines: []string{"Calico"}}},
		{"Calico by iptables-legacy", []string{"iptables-legacy -N first", "iptables-legacy -A first -j ACCEPT", "iptables-legacy -N cali-FORWARD", "iptables-legacy -A FORWARD -j cali-FORWARD"},
			Programs{Engines: []string{"Calico"}}},
		{"Cilium by ip6tables-legacy", []string{"ip6tables-legacy -N CILIUM_FORWARD"}, Programs{Engines: []string{"Cilium"}}},
		{"several", []string{"ip6tables-nft -N KUBE-ROUTER-FORWARD", "iptables-nft -N WEAVE-NPC", "nft add table inet kube-network-policies"},
			Programs{Engines: []string{"kube-router", "Weave Net", "kube-network-policies"}}},
		{"a redirection", append(slices.Clone(links), "tc qdisc add dev v0 clsact", fmt.Sprintf(redirect, "ingress", "v2")), Programs{Filters: []Filter{{Interface: "v0"}}}},
		{"a redirection at the old qdisc", append(slices.Clone(links), "tc qdisc add dev v0 ingress", fmt.Sprintf(redirect, "parent ffff:", "v2")), Programs{Filters: []Filter{{Interface: "v0"}}}},
		{"a limit of bandwidth", append(slices.Clone(links), "ip link add bw type ifb", "tc qdisc add dev v0 clsact", fmt.Sprintf(redirect, "ingress", "bw")), Programs{}},
		{"a copy", append(slices.Clone(links), "tc qdisc add dev v0 clsact", strings.Replace(fmt.Sprintf(redirect, "ingress", "v2"), "redirect", "mirror", 1)), Programs{}},
		{"a flowtable", append(slices.Clone(links), "nft add table inet router", "nft add flowtable inet router f { hook ingress priority 0; devices = { v0 }; }"),
			Programs{Flowtables: []string{"flowtable f of table router"}}},
		{"kube-proxy by iptables-nft", []string{"iptables-nft -t nat -N KUBE-SERVICES", "iptables-nft -t nat -A KUBE-SERVICES -j RETURN"}, Programs{ServiceProxies: []string{"kube-proxy"}}},
		{"kube-proxy by iptables-legacy", []string{"iptables-legacy -t nat -N KUBE-A", "iptables-legacy -t nat -N KUBE-SERVICES", "iptables-legacy -t nat -A KUBE-SERVICES -j RETURN"}, Programs{ServiceProxies: []string{"kube-proxy"}}},
		{"its chains flushed", []string{"iptables-nft -t nat -N KUBE-SERVICES", "iptables-nft -t nat -A KUBE-SERVICES -j RETURN", "iptables-nft -t nat -F"}, Programs{}},
		{"its chains flushed by iptables-legacy", []string{"iptables-legacy -t nat -N KUBE-SERVICES", "iptables-legacy -t nat -A KUBE-SERVICES -j RETURN", "iptables-legacy -t nat -F", "iptables-legacy -t nat -N KUBE-Z", "iptables-legacy -t nat -A KUBE-Z -j RETURN"}, Programs{}},
		{"kube-proxy in nftables mode", []string{"nft add table ip6 kube-proxy", "nft add chain ip6 kube-proxy services", "nft add rule ip6 kube-proxy services counter"}, Programs{ServiceProxies: []string{"kube-proxy in nftables mode"}}},
		{"its table flushed", []string{"nft add table ip kube-proxy", "nft add chain ip kube-proxy services", "nft add chain ip kube-proxy other", "nft add rule ip kube-proxy other counter"}, Programs{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, inspected(t, tt.commands...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOffloadModules(t *testing.T) {
	dir := t.TempDir()
	if got := offloadModules(dir); got != nil {
		t.Errorf("without the module: %v", got)
	}
	if err := os.Mkdir(filepath.Join(dir, "xt_FLOWOFFLOAD"), 0o755); err != nil {
		t.Fatal(err)
	}
	for users, want := range map[string]int{"0\n": 0, "2\n": 1, "": 0} {
		if err := os.WriteFile(filepath.Join(dir, "xt_FLOWOFFLOAD/refcnt"), []byte(users), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := offloadModules(dir); len(got) != want {
			t.Errorf("used by %q: %v", users, got)
		}
	}
}

// FuzzChains: whatever the kernel gives, there is an end.
func FuzzChains(f *testing.F) {
	entry := make([]byte, 176)
	entry[84+4], entry[84+6] = 112, 176
	copy(entry[114:], "ERROR")
	copy(entry[144:], "cali-FORWARD")
	if rules, found := chainsOf(entry, 84)["cali-FORWARD"]; !found || rules != 0 {
		f.Fatalf("got %v", chainsOf(entry, 84))
	}
	f.Add(entry)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, addrLen := range []int{84, 136} {
			if chains := chainsOf(b, addrLen); len(chains) > len(b) {
				t.Fatal(chains)
			}
		}
	})
}
