package verify

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Links is what is known of the interfaces of local endpoints, and which guards are on.
type Links struct {
	Known    dataplane.AntiSpoofing
	Settings dataplane.GuardSettings
}

// A kernel whose guards can be walked is asked about frames, as they may come by the
// link of each local endpoint and by others, at each place where links are asked about. What must
// become of them is said in linkwant.go by what guards are for (docs/semantics.md), and not
// by how they are written. Frames differ from what is honest in few ways at once; all of
// addresses, protocols and types are tried together (linkframes.go).

// linkVerifier asks about the links of one node.
type linkVerifier struct {
	*verifier
	kernel   dataplane.LinkDecider
	links    map[int]*link
	bound    map[netip.Addr]*link
	known    dataplane.AntiSpoofing
	settings dataplane.GuardSettings
	toHost   policy.Action // --endpoint-to-host
	// ports are the addresses behind ports of bridges, and neighbours the bridges of such; sources
	// says that some port leads to more than its endpoint's addresses.
	ports      map[netip.Addr]bool
	neighbours map[int]bool
	sources    bool

	tunnels map[uint16]bool
	nodes   map[netip.Addr]bool
	denies  map[dataplane.ProgramID]bool
	asked   atomic.Int64
	shown   map[differenceKind]int // under mu
}

// differenceKind is what many frames differ in alike, of which the report spells out a few.
type differenceKind struct {
	at        dataplane.LinkHook
	got, want dataplane.Guard
}

const alike = 2

// link is the interface of a local endpoint with what policy says of it.
type link struct {
	dataplane.Link
	// Of its addresses, policy may deny something in a direction, or towards the node; denial of
	// DHCP is its egress policy's.
	egress, ingress, toNode, dhcp, dhcpToNode bool
}

// askLinks asks about all links.
func (v *verifier) askLinks(ctx context.Context) error {
	kernel, ok := v.Kernel.(dataplane.LinkDecider)
	if !ok || v.Links == nil {
		return nil
	}
	l := newLinkVerifier(v, kernel)
	list := make([]*link, 0, len(l.links))
	for _, x := range l.links {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b *link) int { return cmp.Compare(a.Index, b.Index) })
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, x := range list {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			l.ofLink(x, list)
			return nil
		})
	}
	err := group.Wait()
	v.total += int(l.asked.Load())
	return err
}

func newLinkVerifier(v *verifier, kernel dataplane.LinkDecider) *linkVerifier {
	l := &linkVerifier{
		verifier: v, kernel: kernel, links: map[int]*link{}, bound: map[netip.Addr]*link{}, known: v.Links.Known, settings: v.Links.Settings,
		toHost: v.Model.Host.EndpointToHost, ports: map[netip.Addr]bool{}, neighbours: map[int]bool{}, tunnels: map[uint16]bool{}, nodes: map[netip.Addr]bool{}, denies: map[dataplane.ProgramID]bool{}, shown: map[differenceKind]int{},
	}
	for _, p := range slices.Concat(dataplane.UsualTunnelPorts, l.known.TunnelPorts) {
		l.tunnels[p] = true
	}
	for _, a := range l.known.NodeAddrs {
		l.nodes[a] = true
	}
	for _, k := range l.known.Links {
		if k.Index <= 0 {
			continue
		}
		x := &link{Link: k}
		l.links[k.Index] = x
		l.sources = l.sources || k.Port && len(k.Sources) > 0
		for _, a := range k.Addrs {
			if k.Port {
				l.ports[a] = true
			}
			if k.Port && k.Bridge > 0 {
				l.neighbours[k.Bridge] = true
			}
			if !k.Port || k.Bridge > 0 {
				l.bound[a] = x
			}
			local, _ := v.Tables.Local(a)
			x.egress = x.egress || l.deniesAny(local.Egress)
			x.ingress = x.ingress || l.deniesAny(local.Ingress)
			x.toNode = x.toNode || l.deniesAny(local.ToNode)
			x.dhcpToNode = x.dhcpToNode || a.Is4() && actionOf(v.Tables.DecideToNode(discover(a))) == policy.Deny
			x.dhcp = x.dhcp || a.Is4() && action(v.Tables, discover(a), policy.Egress) == policy.Deny
		}
	}
	return l
}

// deniesAny reports whether a program denies anything to anybody.
func (l *linkVerifier) deniesAny(id dataplane.ProgramID) bool {
	denies, done := l.denies[id]
	if done {
		return denies
	}
	if p := l.Tables.Program(id); p != nil {
		rows := []dataplane.RowID{p.Base}
		for _, row := range p.Cells {
			rows = append(rows, row)
		}
		for _, id := range rows {
			denies = denies || slices.ContainsFunc(l.Tables.Row(id), func(g dataplane.Region) bool { return !g.Allow })
		}
	}
	l.denies[id] = denies
	return denies
}

// ask has kernel and reference decide a frame.
func (l *linkVerifier) ask(h dataplane.LinkHook, f dataplane.Frame) {
	l.asked.Add(1)
	got, want := l.kernel.AtLink(h, f), l.want(h, f)
	if !h.Bridge() && want != byPolicy {
		// Of IP the verdicts of policy are asked about elsewhere.
		got.Drop, want.Drop = got.Guard != "", want.Guard != ""
	}
	if got == want {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := differenceKind{h, got.Guard, want.Guard}
	if l.shown[kind]++; l.shown[kind] > alike {
		l.report.Differences++
		return
	}
	l.report.differ(Difference{
		Flow: f.Flow, Direction: policy.Egress, Kernel: verdictOf(got.Drop), Reference: verdictOf(want.Drop),
		Link: frameText(h, f), Guards: [2]dataplane.Guard{got.Guard, want.Guard},
	})
}

// frameText says where a frame was asked about, and what is special about it.
func frameText(h dataplane.LinkHook, f dataplane.Frame) string {
	parts := []string{"at " + h.String()}
	add := func(when bool, format string, args ...any) {
		if when {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(f.In != 0, "from interface %d", f.In)
	add(f.Out != 0, "to interface %d", f.Out)
	add(h.Bridge(), "from %s", f.From)
	add(f.Carries == dataplane.EtherARP, "ARP of %s", f.Src)
	add(f.Type != f.Carries, "within type %#04x", f.Type)
	add(len(f.Told) > 0, "telling %s", f.Told)
	add(f.Embedded.IsValid(), "about a packet for %s", f.Embedded)
	add(f.Target.IsValid(), "about %s", f.Target)
	return strings.Join(parts, ", ")
}
