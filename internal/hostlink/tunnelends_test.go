package hostlink

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// TestTunnelEndsOfLinks holds what is read from each kind of interface, those included that this kernel may not be able to make.
func TestTunnelEndsOfLinks(t *testing.T) {
	remote, remote6 := net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")
	gateways := []string{"192.0.2.71", "192.0.2.72"}
	for _, tt := range []struct {
		link netlink.Link
		want []string
	}{
		{&netlink.Geneve{Remote: remote6}, []string{"2001:db8::1"}},
		{&netlink.Iptun{Remote: remote}, []string{"192.0.2.1"}},
		{&netlink.Iptun{Remote: net.IPv4zero}, gateways}, // as Calico's tunl0
		{&netlink.Iptun{FlowBased: true}, nil},
		{&netlink.Sittun{Remote: remote}, []string{"192.0.2.1"}},
		{&netlink.Ip6tnl{Remote: remote6}, []string{"2001:db8::1"}},
		{&netlink.Ip6tnl{}, gateways},
		{&netlink.Gretun{Remote: remote}, []string{"192.0.2.1"}},
		{&netlink.Gretun{Remote: net.IPv6zero}, gateways},
		{&netlink.Gretap{Remote: remote}, []string{"192.0.2.1"}},
		{&netlink.Gretap{}, nil},                                                      // its gateways are inside of the tunnel
		{&netlink.Iptun{Remote: net.IPv4(224, 0, 0, 7)}, nil},                         // a group
		{&netlink.Veth{}, nil}, {&netlink.Bridge{}, nil}, {&netlink.Wireguard{}, nil}, // of which gateways say nothing
	} {
		s := &search{links: map[int]netlink.Link{7: tt.link}, routing: routing{gateways: map[int][]netip.Addr{7: addrs(gateways...), 8: addrs("192.0.2.99")}}}
		got, err := s.tunnelEnds()
		if diff := cmp.Diff(addrs(tt.want...), got, compareAddrs, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.link.Type(), err, diff)
		}
	}
}

// TestTunnelEndsAreBounded: those that were learned from packets are the first to be left out.
func TestTunnelEndsAreBounded(t *testing.T) {
	v := vxlanEnds{}
	s := &search{finder: &Finder{}, links: map[int]netlink.Link{7: &netlink.Vxlan{Group: net.IPv4(192, 0, 2, 1)}}}
	entry := func(i int, state uint16) *forward {
		return &forward{link: 7, state: state, end: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
	}
	_, _, err := v.read(func(each func(*forward)) error {
		for i := range maxTunnelEnds {
			each(entry(i, unix.NUD_REACHABLE))
		}
		each(entry(1<<20, unix.NUD_PERMANENT))
		each(entry(1<<20, unix.NUD_REACHABLE)) // the same end, by a packet
		return nil
	})
	if err != nil || len(v.learned) != maxTunnelEnds || len(v.fixed) != 1 {
		t.Fatal(err, len(v.learned), len(v.fixed))
	}
	v.watched = true
	s.finder.vxlan.fixed, s.finder.vxlan.learned, s.finder.vxlan.at, s.finder.vxlan.watched = v.fixed, v.learned, v.at, true
	got, err := s.tunnelEnds()
	if err != nil || len(got) != maxTunnelEnds || !slices.IsSortedFunc(got, netip.Addr.Compare) {
		t.Fatal(err, len(got))
	}
	for _, a := range addrs("192.0.2.1", "10.16.0.0") {
		if !slices.Contains(got, a) {
			t.Errorf("%s is left out", a)
		}
	}
}

// TestVXLANEndsAreReadSeldom: only when there may be something new, and not each time that somebody asks.
func TestVXLANEndsAreReadSeldom(t *testing.T) {
	v, reads := vxlanEnds{}, 0
	table := []forward{{end: netip.MustParseAddr("192.0.2.1"), state: unix.NUD_PERMANENT}, {state: unix.NUD_PERMANENT}}
	var fail error
	read := func(want int, ends ...string) {
		t.Helper()
		fixed, _, err := v.read(func(each func(*forward)) error {
			reads++
			for i := range table {
				each(&table[i])
			}
			return fail
		})
		if diff := cmp.Diff(addrs(ends...), fixed, compareAddrs, cmpopts.EquateEmpty()); !errors.Is(err, fail) || reads != want || diff != "" {
			t.Errorf("%v; %d reads, want %d; (-want +got):\n%s", err, reads, want, diff)
		}
	}
	read(1, "192.0.2.1")
	read(2, "192.0.2.1") // nobody watches
	v.watch(true)
	read(3, "192.0.2.1") // what changed before is not known
	read(3, "192.0.2.1")
	for _, e := range []forward{table[0], table[1], {end: netip.MustParseAddr("192.0.2.2"), state: unix.NUD_REACHABLE}} {
		if v.isNews(&e) {
			t.Errorf("%v is news", e)
		}
	}
	read(3, "192.0.2.1")
	e := forward{end: netip.MustParseAddr("192.0.2.2"), state: unix.NUD_REACHABLE, flags: unix.NTF_EXT_LEARNED}
	table = append(table, e)
	if !v.isNews(&e) {
		t.Error("what a routing daemon says is not noticed")
	}
	read(4, "192.0.2.1", "192.0.2.2")
	if v.isNews(&e) {
		t.Error("it is news again")
	}
	table = table[:1]
	v.at = v.at.Add(-vxlanRefresh)
	read(5, "192.0.2.1")
	v.lost()
	fail = errors.New("no buffer space available")
	read(6)
	fail = nil
	read(7, "192.0.2.1") // it is tried again
	read(7, "192.0.2.1")
	v.watch(false)
	read(8, "192.0.2.1")
}

var compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// ipEncap is a lightweight tunnel of IP: that of netlink has none.
type ipEncap struct{ end netip.Addr }

func (e ipEncap) Type() int {
	if e.end.Is6() {
		return nl.LWTUNNEL_ENCAP_IP6
	}
	return nl.LWTUNNEL_ENCAP_IP
}
func (ipEncap) Decode([]byte) error          { return nil }
func (e ipEncap) String() string             { return e.end.String() }
func (e ipEncap) Equal(o netlink.Encap) bool { return o == netlink.Encap(e) }
func (e ipEncap) Encode() ([]byte, error) {
	attr := func(typ uint16, value []byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
		return append(binary.NativeEndian.AppendUint16(b, typ), value...)
	}
	id := binary.BigEndian.AppendUint64(nil, 7)
	return append(attr(1, id), attr(2, e.end.AsSlice())...), nil
}

// vxlan makes an interface, which is down, so that the kernel has nothing to tell of it; change may say more of it.
func (n *node) vxlan(name string, id int, change ...func(*netlink.Vxlan)) (index int) {
	n.t.Helper()
	n.ip(func(h *netlink.Handle) error {
		v := &netlink.Vxlan{VxlanId: id, Port: 4789, Learning: true}
		v.LinkAttrs = netlink.NewLinkAttrs()
		v.Name = name
		for _, f := range change {
			f(v)
		}
		err := h.LinkAdd(v)
		if errors.Is(err, unix.EOPNOTSUPP) {
			n.t.Skip("SKIPPED: this kernel has no VXLAN")
		}
		if err != nil {
			return err
		}
		l, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		index = l.Attrs().Index
		return nil
	})
	return index
}

// forward has a VXLAN interface send frames to a hardware address to an end.
func (n *node) forward(link int, mac byte, end string, state int) {
	n.t.Helper()
	n.ip(func(h *netlink.Handle) error {
		return h.NeighAppend(&netlink.Neigh{
			LinkIndex: link, Family: unix.AF_BRIDGE, State: state, Flags: netlink.NTF_SELF,
			HardwareAddr: net.HardwareAddr{0, 0, 0, 0, 0, mac}, IP: net.ParseIP(end),
		})
	})
}

// TestTunnelEnds has ends of all sorts of places that this kernel can be told of.
func TestTunnelEnds(t *testing.T) {
	n := newNode(t)
	n.bridge()
	n.host("web", "cni0", "10.244.1.2") // the bridge has a forwarding table as well
	web := pod("web", "10.244.1.2")
	n.until(web)
	if got := n.find(web).TunnelEnds; len(got) != 0 {
		t.Fatalf("a host without tunnels has ends %v", got)
	}
	flannel := n.vxlan("flannel.1", 1)
	n.vxlan("point", 2, func(v *netlink.Vxlan) { v.Group = net.IPv4(192, 0, 2, 20) })
	n.vxlan("group", 3, func(v *netlink.Vxlan) { v.Group, v.VtepDevIndex = net.IPv4(239, 1, 1, 1), flannel })
	external := n.vxlan("external", 0, func(v *netlink.Vxlan) { v.FlowBased, v.Port = true, 4790 })
	n.forward(flannel, 1, "192.0.2.21", netlink.NUD_PERMANENT)
	n.forward(flannel, 2, "192.0.2.22", netlink.NUD_PERMANENT)
	n.forward(flannel, 0, "192.0.2.23", netlink.NUD_PERMANENT) // to whom it sends what is for everybody
	n.forward(flannel, 0, "192.0.2.24", netlink.NUD_PERMANENT)
	n.forward(flannel, 3, "192.0.2.25", netlink.NUD_REACHABLE) // as a packet makes it
	n.ip(func(h *netlink.Handle) error {
		if err := h.LinkSetUp(&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "external"}}); err != nil {
			return err
		}
		for to, end := range map[string]string{"10.244.7.0/24": "192.0.2.30", "fd00:7::/64": "2001:db8::30"} {
			r := routeOf(t, to, func(r *netlink.Route) { r.LinkIndex, r.Encap = external, ipEncap{netip.MustParseAddr(end)} })
			if err := h.RouteAdd(&r); err != nil {
				return err
			}
		}
		r := routeOf(t, "10.244.8.0/24", func(r *netlink.Route) {
			r.Scope = unix.RT_SCOPE_UNIVERSE
			for _, end := range []string{"192.0.2.31", "192.0.2.32"} {
				r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: external, Encap: ipEncap{netip.MustParseAddr(end)}})
			}
		})
		return h.RouteAdd(&r)
	})
	want := addrs("192.0.2.20", "192.0.2.21", "192.0.2.22", "192.0.2.23", "192.0.2.24", "192.0.2.25", "192.0.2.30", "192.0.2.31", "192.0.2.32", "2001:db8::30")
	if diff := cmp.Diff(want, n.find(web).TunnelEnds, compareAddrs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWatchTunnelEnds: a new end of a VXLAN interface is noticed by itself, and more than a neighbour.
func TestWatchTunnelEnds(t *testing.T) {
	n := newNode(t)
	flannel := n.vxlan("flannel.1", 1)
	ctx, cancel := context.WithCancel(t.Context())
	changes, done := make(chan bool, 1000), make(chan error, 1)
	go func() {
		done <- n.lab.Node().Do(func() error {
			return n.f.Watch(ctx, func(neighboursOnly bool) { changes <- neighboursOnly })
		})
	}()
	next := func(what string) bool {
		t.Helper()
		select {
		case neighboursOnly := <-changes:
			return neighboursOnly
		case <-time.After(20 * time.Second):
			t.Fatalf("not within 20 s: %s", what)
			return false
		}
	}
	ends := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(addrs(want...), n.find().TunnelEnds, compareAddrs, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	next("it watches")
	ends()
	n.forward(flannel, 1, "192.0.2.21", netlink.NUD_PERMANENT)
	if next("the new end") {
		t.Error("it is told as a neighbour")
	}
	ends("192.0.2.21")
	n.forward(flannel, 2, "192.0.2.21", netlink.NUD_PERMANENT) // another address behind a known end
	n.forward(flannel, 3, "192.0.2.22", netlink.NUD_REACHABLE) // learned
	for range 2 {
		if !next("a neighbour") {
			t.Error("what is nothing new, or a packet has made, is told as more than a neighbour")
		}
	}
	ends("192.0.2.21")
	n.f.vxlan.at = n.f.vxlan.at.Add(-vxlanRefresh)
	ends("192.0.2.21", "192.0.2.22")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
