package flags

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// reportsIn returns the reports of agents among resources, by node; nil if there are none.
func reportsIn(resources []store.Resource) map[string]*v1alpha1.Report {
	var reports map[string]*v1alpha1.Report
	for i := range resources {
		if r, ok := resources[i].Object.(*v1alpha1.NodePolicyReport); ok {
			if reports == nil {
				reports = map[string]*v1alpha1.Report{}
			}
			reports[r.Name] = &r.Report
		}
	}
	return reports
}

// addReported gives nodes what agents report. An address that a workload of the model has is its own: a report may
// be of an earlier moment.
func (o *NodeAddresses) addReported(m *policy.Model, nodes map[string]*policy.Node) {
	workloads := map[netip.Addr]bool{}
	for _, ep := range m.Endpoints {
		for _, a := range ep.Addrs {
			workloads[a] = workloads[a] || ep.Host == nil
		}
	}
	for name, report := range o.reports {
		for _, text := range report.LocalAddresses {
			a, err := netip.ParseAddr(text)
			if a = a.Unmap(); err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || workloads[a] {
				continue
			}
			if nodes[name] == nil {
				nodes[name] = &policy.Node{Name: name}
			}
			addTo(nodes[name], a)
		}
	}
}

// TunnelPorts returns the UDP ports at which a node unpacks packets, as its agent reports, beside the usual ones.
func (o *NodeAddresses) TunnelPorts(node string) []uint16 {
	report := o.reports[node]
	if report == nil {
		return nil
	}
	var ports []uint16
	for _, p := range report.TunnelPorts {
		if p > 0 && p <= 1<<16-1 {
			ports = append(ports, uint16(p))
		}
	}
	return ports
}

// Notes say of which nodes not all addresses are known.
func (o *NodeAddresses) Notes() []string {
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(o.reports)) {
		if o.reports[name].LocalTruncated {
			notes = append(notes, fmt.Sprintf("node %s has more addresses or ports of tunnels than its agent reports: --node-address says further ones", name))
		}
	}
	return notes
}
