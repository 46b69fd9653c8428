package hostlink

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/policy"
)

// tunnelCase is an interface, and what it unpacks.
type tunnelCase struct {
	link netlink.Link
	want []Tunnel
}

func tunnelCases() []tunnelCase {
	return []tunnelCase{
		{&netlink.Vxlan{VxlanId: 1, Port: 8472}, []Tunnel{{Protocol: 17, Port: 8472}}},
		{&netlink.Vxlan{FlowBased: true, Port: 4789}, []Tunnel{{Protocol: 17, Port: 4789}}},
		{&netlink.Geneve{ID: 7, Dport: 6081, Remote: net.IPv4(192, 0, 2, 1)}, []Tunnel{{Protocol: 17, Port: 6081}}},
		{&netlink.BareUDP{Port: 6635, EtherType: 0x8847}, []Tunnel{{Protocol: 17, Port: 6635}}},
		{&netlink.Iptun{Local: net.IPv4(192, 0, 2, 2), Remote: net.IPv4(192, 0, 2, 1), Proto: 4}, []Tunnel{{Protocol: 4}}},
		{&netlink.Sittun{Local: net.IPv4(192, 0, 2, 2), Remote: net.IPv4(192, 0, 2, 1), Proto: 41}, []Tunnel{{Protocol: 41}}},
		{&netlink.Gretun{Local: net.IPv4(192, 0, 2, 2), Remote: net.IPv4(192, 0, 2, 3)}, []Tunnel{{Protocol: 47}}},
		{&netlink.Gretap{Local: net.IPv4(192, 0, 2, 2), Remote: net.IPv4(192, 0, 2, 4)}, []Tunnel{{Protocol: 47}}},
		{&netlink.Ip6tnl{Local: net.ParseIP("2001:db8::2"), Remote: net.ParseIP("2001:db8::1")}, []Tunnel{{Protocol: 4}, {Protocol: 41}}},
		{&netlink.Iptun{Local: net.IPv4(192, 0, 2, 2), Remote: net.IPv4(192, 0, 2, 5), Proto: 4, EncapType: 1, EncapDport: 5555}, []Tunnel{{Protocol: 4}, {Protocol: 17, Port: 5555}}},
		{&netlink.Wireguard{}, nil},
		{&netlink.Bridge{}, nil},
		{&netlink.Veth{PeerName: "end"}, nil},
	}
}

// TestTunnelsOf holds what is read from each kind of interface, those included that this kernel may not be able to make.
func TestTunnelsOf(t *testing.T) {
	for _, tt := range tunnelCases() {
		got := tunnelsOf(tt.link)
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.link.Type(), diff)
		}
	}
	for _, name := range []string{"ip6gretap", "erspan", "ip6erspan"} {
		if got := tunnelsOf(&netlink.GenericLink{LinkType: name}); len(got) != 1 || got[0].Protocol != gre {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestTunnels makes the interfaces and reads them from the kernel.
func TestTunnels(t *testing.T) {
	made := 0
	for _, tt := range tunnelCases() {
		t.Run(tt.link.Type(), func(t *testing.T) {
			n := newNode(t)
			before := n.find().Tunnels // devices that a kernel makes by itself, such as tunl0
			*tt.link.Attrs() = netlink.NewLinkAttrs()
			tt.link.Attrs().Name = "test0"
			var err error
			n.do(func() error { err = n.f.handle.LinkAdd(tt.link); return nil })
			if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EAFNOSUPPORT) {
				t.Skipf("SKIPPED: this kernel makes no %s: %v", tt.link.Type(), err)
			}
			if err != nil {
				t.Fatal(err)
			}
			made++
			var got []Tunnel
			for _, tunnel := range n.find().Tunnels {
				if tunnel.Name == "test0" {
					got = append(got, tunnel)
				}
			}
			want := append([]Tunnel{}, tt.want...)
			n.do(func() error {
				i, err := net.InterfaceByName("test0")
				for j := range want {
					want[j].Name, want[j].Index = "test0", i.Index
				}
				return err
			})
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s\nbefore: %v", diff, before)
			}
		})
	}
	if made == 0 && os.Getenv("CI") == "true" {
		t.Error("no kind of interface could be made")
	}
}

func TestFOUPorts(t *testing.T) {
	n := newNode(t)
	var err error
	n.do(func() error {
		err = n.f.handle.FouAdd(netlink.Fou{Family: unix.AF_INET, Port: 5555, Protocol: unix.IPPROTO_IPIP, EncapType: netlink.FOU_ENCAP_DIRECT})
		return nil
	})
	if err != nil {
		t.Skip("SKIPPED: this kernel has no FOU: ", err)
	}
	if got := n.find().Tunnels; len(got) == 0 || got[0] != (Tunnel{Name: "fou", Protocol: policy.UDP, Port: 5555}) {
		t.Errorf("got %v", got)
	}
}
