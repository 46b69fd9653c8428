package agent

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// In a cluster the agent asks for the address of a Service, and policy is asked about what it was translated to: that is
// a failsafe, and nothing to warn of.
func TestAPIServerBehindService(t *testing.T) {
	h := newHost(t)
	far, asked := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddrPort("10.96.0.1:443")
	server, err := h.lab.AddHost(lab.HostConfig{Name: "far", Addrs: []netip.Addr{far}, Interface: "up0"})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := server.Listen("tcp", netip.AddrPortFrom(far, 6443).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	node := h.lab.Node()
	if err := node.Do(func() error {
		link, err := netlink.LinkByName("up0")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(32, 32)}}); err != nil {
			return err
		}
		services := &net.IPNet{IP: net.IPv4(10, 96, 0, 0), Mask: net.CIDRMask(16, 32)}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: services, Src: net.IPv4(192, 0, 2, 1)}); err != nil {
			return err
		}
		nft := exec.Command(lab.RequireProgram(t, "nft"), "-f", "-")
		nft.Stdin = strings.NewReader(`table ip proxy { chain output { type nat hook output priority -100; ip daddr 10.96.0.1 tcp dport 443 dnat to 203.0.113.7:6443; }; }`)
		return nft.Run()
	}); err != nil {
		t.Fatal(err)
	}
	conn, err := node.DialContext(t.Context(), "tcp", asked.String()) // as the agent's watches
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	t.Setenv("API_SERVER", asked.String())
	agent := h.startAgent()
	reaches := func(port uint16) bool {
		f := policy.Flow{Src: far, Dst: node.Addr4(), Protocol: policy.TCP, DstPort: port}
		return h.lab.Probe(t.Context(), f, 0).Verdict == lab.Allowed
	}
	h.write("host.yaml", hostYAML)
	h.eventually("it is enforced", func() bool { return !reaches(81) })
	h.write("hostpolicy.yaml", hostPolicyYAML) // after the step that could warn
	h.eventually("its policy is in force", func() bool { return reaches(81) })
	if said := agent.stderr.String(); strings.Contains(said, "denies new connections to the API server") {
		t.Errorf("the agent says\n%s", said)
	}
}
