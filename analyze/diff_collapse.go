package analyze

import "github.com/tierwall/tierwall/policy"

// collapseEnds puts the endpoints of a workload together where all of them differ
// alike. Between a host and a workload those count that are not on the host.
func collapseEnds(list []Difference, endpoints []*policy.Endpoint, ends func(*Difference) (end, other *string)) []Difference {
	workloads, members := map[string]string{}, map[string]int{}
	nodes, hosts := map[string]string{}, map[string]string{} // of endpoints; of "host/name"
	onNode := map[[2]string]int{}                            // of a workload and a node
	for _, ep := range endpoints {
		switch {
		case ep.Host != nil:
			hosts[endName(ep.Key)] = ep.Node
		case ep.Owner != (policy.Key{}):
			workload := ep.Owner.String()
			workloads[ep.Key.String()] = workload
			members[workload]++
			nodes[ep.Key.String()] = ep.Node
			onNode[[2]string{workload, ep.Node}]++
		}
	}
	type group struct {
		rows []int
		home int // of them, those of endpoints that are on the host at the other end
	}
	groups := map[string]*group{} // rows that differ only in which endpoint of a workload it is
	keyOf := func(d *Difference) (string, bool) {
		row := *d
		end, _ := ends(&row)
		workload, found := workloads[*end]
		*end = workload
		return row.Src + "\x00" + row.Dst + "\x00" + key(row.Before) + "\x00" + key(row.After), found
	}
	for i := range list {
		k, found := keyOf(&list[i])
		if !found {
			continue
		}
		g := groups[k]
		if g == nil {
			g = &group{}
			groups[k] = g
		}
		g.rows = append(g.rows, i)
		if end, other := ends(&list[i]); hosts[*other] != "" && hosts[*other] == nodes[*end] {
			g.home++
		}
	}
	var out []Difference
	for i := range list {
		end, other := ends(&list[i])
		workload := workloads[*end]
		k, found := keyOf(&list[i])
		if !found {
			out = append(out, list[i])
			continue
		}
		g, away := groups[k], members[workload]
		if node := hosts[*other]; node != "" && g.home == 0 {
			away -= onNode[[2]string{workload, node}]
		}
		if len(g.rows) != away {
			out = append(out, list[i])
			continue
		}
		if g.rows[0] == i {
			row := list[i]
			end, _ := ends(&row)
			if *end = workload; row.Src != row.Dst {
				out = append(out, row)
			}
		}
	}
	return out
}
