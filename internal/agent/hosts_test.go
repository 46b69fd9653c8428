package agent

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/verify"
	"github.com/tierwall/tierwall/policy"
)

func testHostSettings() dataplane.HostSettings {
	var s dataplane.HostSettings
	s.FailsafeIn, s.FailsafeOut = policy.DefaultFailsafes()
	return s
}

const (
	hostYAML = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: uplink, labels: {role: host}}
spec: {node: here, expectedIPs: [192.0.2.1]}
`
	hostPolicyYAML = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: host}
spec:
  selector: role == 'host'
  types: [Ingress]
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [81]}}]
`
)

// A host endpoint that only has addresses is enforced at the interface that has
// one of them, as soon as one has.
func TestHostEndpointByAddress(t *testing.T) {
	h := newHost(t)
	far := netip.MustParseAddr("203.0.113.7")
	if _, err := h.lab.AddHost(lab.HostConfig{Name: "far", Addrs: []netip.Addr{far}, Interface: "up0"}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("API_SERVER", netip.AddrPortFrom(far, 443).String())
	agent := h.startAgent()
	reaches := func(port uint16) bool {
		f := policy.Flow{Src: far, Dst: h.lab.Node().Addr4(), Protocol: policy.TCP, DstPort: port}
		return h.lab.Probe(t.Context(), f, 0).Verdict == lab.Allowed
	}
	h.write("host.yaml", hostYAML)
	h.eventually("the host endpoint is known to be nowhere", func() bool {
		return slices.ContainsFunc(h.status().NotEnforced, func(s string) bool {
			return strings.Contains(s, "no interface of this host has any of its expectedIPs")
		})
	})
	if !reaches(81) {
		t.Error("it is enforced although no interface has its address")
	}
	if err := h.lab.Node().Do(func() error {
		link, err := netlink.LinkByName("up0")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(32, 32)}})
	}); err != nil {
		t.Fatal(err)
	}
	h.eventually("it is enforced", func() bool { return !reaches(81) })
	h.eventually("the agent warns that it would be cut off the API server", func() bool {
		return strings.Contains(agent.stderr.String(), "denies new connections to the API server at 203.0.113.7:443: allow them, or add --failsafe-out tcp:443")
	})
	if !reaches(22) {
		t.Error("a failsafe is closed")
	}
	i := slices.IndexFunc(h.status().Endpoints, func(e EndpointStatus) bool { return e.Name == "uplink" })
	if e := h.status().Endpoints[i]; e.Interface != "up0" || e.Kind != policy.KindHostEndpoint {
		t.Errorf("the status says %+v", e)
	}
	h.write("hostpolicy.yaml", hostPolicyYAML)
	h.eventually("its policy is in force", func() bool { return reaches(81) })
	if reaches(82) {
		t.Error("port 82 is open")
	}
	// A change of it does not take it off its interface.
	h.write("host.yaml", strings.Replace(hostYAML, "role: host", "role: host, more: x", 1))
	h.write("more.yaml", strings.NewReplacer("name: host", "name: more", "role == 'host'", "more == 'x'", "81", "83").Replace(hostPolicyYAML))
	h.eventually("its further policy is in force", func() bool { return reaches(83) })
	if reaches(82) {
		t.Error("port 82 is open after a change of the host endpoint")
	}
	out := h.start("verify")
	if code := out.wait(t); code != 0 {
		t.Fatalf("verify ends with %d", code)
	}
	var report verify.Report
	if err := json.Unmarshal(out.stdout.Bytes(), &report); err != nil || report.Differences > 0 || report.Decisions == 0 {
		t.Errorf("verify: %+v %v", report, err)
	}
	if err := os.Remove(filepath.Join(h.dir, "host.yaml")); err != nil {
		t.Fatal(err)
	}
	h.eventually("it is gone", func() bool { return reaches(82) })
}

// What a host itself asks a DNS server counts for the policy of its endpoint.
func TestDomainsOfHosts(t *testing.T) {
	h := newDNSHost(t)
	h.web = h.lab.Node()
	h.write("host.yaml", `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: here, labels: {role: host}}
spec: {node: here, interfaceName: "*"}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: host}
spec:
  selector: role == 'host'
  types: [Egress]
  egress:
  - {action: Allow, protocol: UDP, destination: {domains: ["*.shop.example"], ports: [443]}}
`)
	h.startAgent()
	h.listening()
	reaches := func(to netip.Addr, port uint16) bool {
		f := policy.Flow{Src: h.lab.Node().Addr4(), Dst: to, Protocol: policy.UDP, DstPort: port}
		return h.lab.Probe(t.Context(), f, 0).Verdict == lab.Allowed
	}
	if reaches(netip.MustParseAddr("198.18.7.7"), 443) {
		t.Error("an address that was not resolved is open")
	}
	addr := h.learned("udp", "n1.shop.example", dns.TypeA)
	if !reaches(addr, 443) || reaches(addr, 444) {
		t.Error("port 443 of a name is closed, or port 444 open")
	}
}
