package cluster

import "fmt"

// ProxyMode is a mode of kube-proxy.
type ProxyMode string

// The modes of kube-proxy.
const (
	NFTables ProxyMode = "nftables"
	IPTables ProxyMode = "iptables"
)

// MaxNodes is the most nodes that a cluster can have.
const MaxNodes = 9

// Options say what a cluster is like. The zero value is a control plane without
// nodes: etcd, the API server and the controller manager.
type Options struct {
	// Nodes is the number of nodes, 0 to MaxNodes. Without nodes there is no
	// scheduler either.
	Nodes int

	// DualStack gives pods and services IPv6 addresses beside those of IPv4.
	DualStack bool

	// ProxyMode is NFTables if it is empty.
	ProxyMode ProxyMode

	// Bridge makes a node's pods ports of one bridge, by the bridge plugin, with br_netfilter on.
	// Else each has a route of its own, by the plugin ptp.
	Bridge bool
}

func (o Options) proxyMode() ProxyMode {
	if o.ProxyMode == "" {
		return NFTables
	}
	return o.ProxyMode
}

func (o Options) check() error {
	if o.Nodes < 0 || o.Nodes > MaxNodes {
		return fmt.Errorf("cluster: Options.Nodes is %d, and can be 0 to %d", o.Nodes, MaxNodes)
	}
	switch o.ProxyMode {
	case "", NFTables, IPTables:
		return nil
	}
	return fmt.Errorf("cluster: Options.ProxyMode is %q, and can be %q or %q", o.ProxyMode, NFTables, IPTables)
}
