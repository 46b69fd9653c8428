package sctp

import (
	"net"
	"strconv"
	"strings"
)

// SCTPAddr is an address of an endpoint. Only the first of its addresses is used.
type SCTPAddr struct {
	IPAddrs []net.IPAddr
	Port    int
}

func newAddr(ip net.IP, port uint16) *SCTPAddr {
	return &SCTPAddr{IPAddrs: []net.IPAddr{{IP: ip}}, Port: int(port)}
}

// Network is "sctp".
func (a *SCTPAddr) Network() string { return "sctp" }

// String is ADDRESS:PORT.
func (a *SCTPAddr) String() string {
	host := ""
	if ip := a.first(); ip != nil {
		host = ip.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(a.Port))
}

func (a *SCTPAddr) first() net.IP {
	if a == nil || len(a.IPAddrs) == 0 {
		return nil
	}
	return a.IPAddrs[0].IP
}

// ResolveSCTPAddr reads HOST:PORT, for the networks "sctp", "sctp4" and "sctp6".
func ResolveSCTPAddr(network, address string) (*SCTPAddr, error) {
	// The names of TCP's networks differ in three letters.
	t, err := net.ResolveTCPAddr("tcp"+strings.TrimPrefix(network, "sctp"), address)
	if err != nil {
		return nil, err
	}
	a := &SCTPAddr{Port: t.Port}
	if t.IP != nil {
		a.IPAddrs = []net.IPAddr{{IP: t.IP, Zone: t.Zone}}
	}
	return a, nil
}

// rawNetwork is the network of raw SCTP packets of the address's family.
func rawNetwork(ip net.IP) string {
	if ip.To4() != nil {
		return "ip4:132"
	}
	return "ip6:132"
}
