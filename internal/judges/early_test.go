package judges

import (
	"bytes"
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// nat writes rules that translate addresses, as kube-proxy does, in a table of
// their own on the node.
func (s *stage) nat(t *testing.T, rules string) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), lab.RequireProgram(t, "nft"), "-f", "-")
	cmd.Stdin = strings.NewReader("table inet nat { chain prerouting { type nat hook prerouting priority dstnat;\n" + rules + "\n}\n}\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := s.lab.Node().Do(cmd.Run); err != nil {
		t.Fatalf("nft: %v\n%s", err, out.String())
	}
}

// early is one connection that is decided before its destination is known.
type early struct {
	name    string
	flow    policy.Flow    // as it is sent
	becomes netip.AddrPort // by DNAT; zero: it stays
	allow   bool
}

// TestPreDNAT has policy decide by the port that a client connects to, before the
// node translates it to a pod's.
func TestPreDNAT(t *testing.T) {
	s := newHostStage(t, policy.Allow)
	web := addresses["web"]
	s.nat(t, "ip daddr 192.0.2.1 tcp dport 30000-30009 dnat ip to 10.65.1.1:80\nip6 daddr fd00:a::1 tcp dport 30000-30009 dnat ip6 to [fd00:65:1::1]:80")
	s.play(t, hep("all", "*")+gnp("outside", `
		selector: role == 'host'
		applyOnForward: true
		preDNAT: true
		types: [Ingress]
		ingress:
		- {action: Allow, protocol: TCP, destination: {ports: [30000, 30002]}}
		- {action: Deny, protocol: TCP, destination: {ports: ["30000:30009"]}}
		- {action: Allow, protocol: TCP, destination: {ports: [8080]}}
		- {action: Deny, protocol: TCP, destination: {ports: [22]}}`)+gnp("forward", `
		selector: role == 'host'
		applyOnForward: true
		types: [Ingress]
		ingress: [{action: Deny}]`)+np("shop/web", `
		selector: app == 'web'
		types: [Ingress]
		ingress:
		- {action: Deny, source: {nets: [198.51.100.0/24]}}
		- {action: Deny, source: {nets: ["fd00:c::/32"]}}
		- {action: Allow}`))
	if err := s.lab.Owner(web[0]).Serve(policy.TCP, 80); err != nil {
		t.Fatal(err)
	}
	m := s.translator.Model()
	m.Host = s.host
	reference := evaluate.New(m)
	for family := range 2 {
		office, world, node := addresses["office"][family], addresses["world"][family], addresses[ownNode][family]
		behind := netip.AddrPortFrom(web[family], 80)
		connect := func(from netip.Addr, port uint16) policy.Flow {
			return policy.Flow{Src: from, Dst: node, Protocol: policy.TCP, SrcPort: firstEphemeral, DstPort: port}
		}
		for _, c := range []early{
			{"the outside port is allowed: the host's policy for routed packets is skipped", connect(office, 30000), behind, true},
			{"another outside port of the same pod is denied", connect(office, 30001), behind, false},
			{"the pod's own policy still counts", connect(world, 30002), behind, false},
			{"to the host itself, allowed: its other policy is skipped", connect(office, 8080), netip.AddrPort{}, true},
			{"no rule: the host's other policy decides", connect(office, 8081), netip.AddrPort{}, false},
			{"a failsafe", connect(office, 22), netip.AddrPort{}, true},
			{"straight to the pod: no rule before, and routed packets are denied", policy.Flow{
				Src: office, Dst: web[family], Protocol: policy.TCP, SrcPort: firstEphemeral, DstPort: 80,
			}, netip.AddrPort{}, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				asked := c.flow
				if c.becomes.IsValid() {
					asked.PreNATDst, asked.PreNATDstPort = asked.Dst, asked.DstPort
					asked.Dst, asked.DstPort = c.becomes.Addr(), c.becomes.Port()
				}
				if got := reference.Evaluate(asked); (got.Verdict == policy.Allow) != c.allow {
					t.Errorf("evaluate says %v: %+v", got.Verdict, got)
				}
				s.probeOne(t, c.flow, c.allow)
			})
		}
	}
	s.compareHosts(t)
}

// probeOne sends one connection's packets.
func (s *stage) probeOne(t *testing.T, f policy.Flow, allow bool) {
	t.Helper()
	f.SrcPort = 0
	got := s.lab.Probe(context.Background(), f, probeTimeout)
	if want := map[bool]lab.Verdict{true: lab.Allowed, false: lab.Denied}[allow]; got.Verdict != want {
		t.Errorf("%+v: %v (%s), want %v", f, got.Verdict, got.Detail, want)
	}
}

// connection is one to an address of the cluster.
type connection struct {
	to       string
	protocol policy.Protocol
	port     uint16
	allow    bool
}

// fromOffice has connections decided that the office begins: by evaluate, and with packets.
func (s *stage) fromOffice(t *testing.T, list ...connection) {
	t.Helper()
	m := s.translator.Model()
	m.Host = s.host
	reference := evaluate.New(m)
	for family := range 2 {
		for _, c := range list {
			f := policy.Flow{Src: addresses["office"][family], Dst: addresses[c.to][family], Protocol: c.protocol, SrcPort: firstEphemeral, DstPort: c.port}
			if got := reference.Evaluate(f); (got.Verdict == policy.Allow) != c.allow {
				t.Errorf("evaluate says %v: %+v", got.Verdict, got)
			}
			s.probeOne(t, f, c.allow)
		}
	}
}

// TestDoNotTrackWhereNothingGoverns has answers pass that belong to no connection, where no
// policy could be got round so.
func TestDoNotTrackWhereNothingGoverns(t *testing.T) {
	s := newHostStage(t, policy.Allow)
	s.play(t, hepWith("[projectcalico-default-allow]")+gnp("untracked", `
		selector: role == 'host'
		applyOnForward: true
		doNotTrack: true
		types: [Ingress]
		ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]`)+np("shop/db", `
		selector: app == 'db'
		types: [Ingress]
		ingress: [{action: Allow}]`))
	s.fromOffice(t,
		connection{ownNode, policy.TCP, 80, true},
		connection{"web", policy.TCP, 80, true},
		connection{"db", policy.TCP, 80, false},
		connection{"db", policy.TCP, 81, true},
	)
	s.compareHosts(t)
}

// TestDoNotTrack has policy let packets by without a connection.
func TestDoNotTrack(t *testing.T) {
	s := newHostStage(t, policy.Allow)
	s.play(t, hep("all", "*")+gnp("untracked", `
		selector: role == 'host'
		applyOnForward: true
		doNotTrack: true
		types: [Ingress, Egress]
		ingress:
		- {action: Allow, protocol: UDP, destination: {ports: [5300]}}
		- {action: Allow, protocol: UDP, destination: {ports: [5301]}}
		- {action: Deny, protocol: UDP, destination: {ports: [5302]}}
		- {action: Allow, protocol: TCP, destination: {ports: [5304]}}
		egress:
		- {action: Allow, protocol: UDP, source: {ports: [5300]}}`)+gnp("tracked", `
		selector: role == 'host'
		types: [Ingress]
		ingress:
		- {action: Allow, protocol: UDP, destination: {ports: ["5302:5303"]}}`))
	s.fromOffice(t,
		connection{ownNode, policy.UDP, 5300, true},  // both directions are allowed
		connection{ownNode, policy.UDP, 5301, false}, // the request passes; its answer is a packet like any other, and nothing allows it
		connection{ownNode, policy.UDP, 5302, false},
		connection{ownNode, policy.UDP, 5303, true}, // no rule here: policy with tracking decides
		connection{ownNode, policy.TCP, 22, true},
		connection{ownNode, policy.TCP, 5304, false}, // its answers belong to no connection
	)
	office := addresses["office"]
	tracked := map[uint16]bool{}
	if err := s.lab.Node().Do(func() error {
		for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
			list, err := netlink.ConntrackTableList(netlink.ConntrackTable, family)
			if err != nil {
				return err
			}
			for _, f := range list {
				if a, ok := netip.AddrFromSlice(f.Forward.SrcIP); ok && (a.Unmap() == office[0] || a == office[1]) {
					tracked[f.Forward.DstPort] = true // what is within the node is how the lab tells a slow machine
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if tracked[5300] || tracked[5301] || !tracked[5303] {
		t.Errorf("tracked: %v; want 5303, and neither 5300 nor 5301", tracked)
	}
	s.compareHosts(t)
}
