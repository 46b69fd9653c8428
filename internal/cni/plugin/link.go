package plugin

import (
	"net"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// link is a pod's link to the host, as far as it could be found.
type link struct {
	host  string // name of the host's end
	index int    // and its number
	mac   string // of the pod's end, as the plugins before say
}

// findLink asks the kernel which interface of this host is the other end of the pod's.
// Plugins may name further interfaces of the host in their results, such as a bridge, or none at
// all. If the kernel cannot tell, because the pod's interface is no end of a pair, the
// one interface of the host that the plugins name is taken. The hardware address is what they say:
// the pod's end is not asked, for when it is, something may run in the pod already (CHECK).
func findLink(id wire.PodID, nsPath string, named []*types100.Interface) link {
	var l link
	var onHost []string
	for _, i := range named {
		switch {
		case i == nil:
		case i.Sandbox == "":
			onHost = append(onHost, i.Name)
		case i.Name == id.Interface:
			l.mac = i.Mac
		}
	}
	if _, err := net.ParseMAC(l.mac); err != nil {
		l.mac = ""
	}
	if name, index, ok := peer(nsPath, id.Interface); ok {
		l.host, l.index = name, index
	} else if len(onHost) == 1 {
		if i, err := net.InterfaceByName(onHost[0]); err == nil {
			l.host, l.index = i.Name, i.Index
		}
	}
	return l
}

// peer returns the other end of the veth pair whose one end is the interface in a
// network namespace, if that other end is in the namespace of this process.
func peer(nsPath, inPodName string) (name string, index int, ok bool) {
	ns, err := netns.GetFromPath(nsPath)
	if err != nil {
		return "", 0, false
	}
	defer func() { _ = ns.Close() }()
	inPod, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return "", 0, false
	}
	defer inPod.Close()
	inner, err := inPod.LinkByName(inPodName)
	if err != nil || inner.Type() != "veth" {
		return "", 0, false
	}
	outer, err := netlink.LinkByIndex(inner.Attrs().ParentIndex)
	if err != nil {
		return "", 0, false
	}
	// The number alone proves nothing: it may be that of a link in a namespace in
	// between. The interface here must lead to that very namespace.
	id, err := netlink.GetNetNsIdByFd(int(ns))
	if err != nil || outer.Type() != "veth" || outer.Attrs().NetNsID != id || outer.Attrs().ParentIndex != inner.Attrs().Index {
		return "", 0, false
	}
	return outer.Attrs().Name, outer.Attrs().Index, true
}
