package analyze

import "github.com/tierwall/tierwall/policy"

// workloads is which endpoints are of which workload, and where they are.
type workloads struct {
	owners  map[policy.Key]policy.Key // of endpoints
	members map[policy.Key]int        // of workloads
	nodes   map[policy.Key]string     // of endpoints, and of HostEndpoints
	onNode  map[onNode]int
}

type onNode struct {
	workload policy.Key
	node     string
}

func workloadsOf(endpoints []*policy.Endpoint) *workloads {
	w := &workloads{map[policy.Key]policy.Key{}, map[policy.Key]int{}, map[policy.Key]string{}, map[onNode]int{}}
	for _, ep := range endpoints {
		switch {
		case ep.Host != nil:
			w.nodes[ep.Key] = ep.Node
		case ep.Owner != (policy.Key{}):
			w.owners[ep.Key] = ep.Owner
			w.members[ep.Owner]++
			w.nodes[ep.Key] = ep.Node
			w.onNode[onNode{ep.Owner, ep.Node}]++
		}
	}
	return w
}

// ownerOf returns the workload of an end, if it is one of its endpoints with all
// addresses.
func (w *workloads) ownerOf(e *End) (policy.Key, bool) {
	if e.Kind != WorkloadEnd || e.Addr().IsValid() {
		return policy.Key{}, false
	}
	owner, found := w.owners[e.Key]
	return owner, found
}

// hostNode returns the node of an end that is a host; "" for others.
func (w *workloads) hostNode(e *End) string {
	if e.Kind != HostEnd || e.Addr().IsValid() {
		return ""
	}
	return w.nodes[e.Key]
}

// collapseEnds puts the endpoints of a workload together where all of them differ
// alike. Between a host and a workload those count that are not on the host.
func (d *differ) collapseEnds(list []Difference, endpoints []*policy.Endpoint, ends func(*Difference) (end, other **End)) []Difference {
	w := workloadsOf(endpoints)
	// Rows that differ only in which endpoint of a workload it is have one key.
	type key struct {
		workload      policy.Key
		other         End
		before, after int32
	}
	type group struct {
		rows       []int
		onSameNode int // of them, those of endpoints that are on the host at the other end
	}
	groups := map[key]*group{}
	keyOf := func(row *Difference) (key, bool) {
		end, other := ends(row)
		workload, found := w.ownerOf(*end)
		if !found {
			return key{}, false
		}
		return key{workload, **other, d.allowed.number(row.Before), d.allowed.number(row.After)}, true
	}
	for i := range list {
		k, found := keyOf(&list[i])
		if !found {
			continue
		}
		if groups[k] == nil {
			groups[k] = &group{}
		}
		g := groups[k]
		g.rows = append(g.rows, i)
		end, other := ends(&list[i])
		if node := w.hostNode(*other); node != "" && node == w.nodes[(*end).Key] {
			g.onSameNode++
		}
	}
	var out []Difference
	for i := range list {
		k, found := keyOf(&list[i])
		if !found {
			out = append(out, list[i])
			continue
		}
		g, all := groups[k], w.members[k.workload]
		if node := w.hostNode(&k.other); node != "" && g.onSameNode == 0 {
			all -= w.onNode[onNode{k.workload, node}]
		}
		switch {
		case len(g.rows) != all:
			out = append(out, list[i])
		case g.rows[0] == i:
			row := list[i]
			end, _ := ends(&row)
			if *end = new(EndOf(k.workload)); *row.Src != *row.Dst {
				out = append(out, row)
			}
		}
	}
	return out
}
