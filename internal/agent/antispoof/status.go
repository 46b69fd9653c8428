package antispoof

import (
	"context"
	"slices"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/dataplane"
)

var _ component.StatusReporter = (*Component)(nil)

// Status is what the guards have dropped.
type Status struct {
	Guards []GuardStatus `json:"guards"`
	// OutsideSources are the pods' addresses that came from where the pod is not, within the
	// last hour, most packets first.
	OutsideSources []OutsideSource `json:"outsideSources,omitempty"`
	// UnknownMAC are the endpoints on bridges whose hardware address is not known, so that
	// it is not checked.
	UnknownMAC []string `json:"unknownMAC,omitempty"`
	// Error is why the kernel's counters cannot be read.
	Error string `json:"error,omitempty"`
}

// GuardStatus is one guard.
type GuardStatus struct {
	Guard   dataplane.Guard `json:"guard"`
	Drops   string          `json:"drops"` // what, in a few words
	Off     bool            `json:"off,omitempty"`
	Packets uint64          `json:"packets"` // dropped since the tables were made
	Bytes   uint64          `json:"bytes"`
}

// OutsideSource is an address of a pod that came from elsewhere.
type OutsideSource struct {
	Source  string `json:"source"`
	Packets uint64 `json:"packets"`
}

// maxOutsideSources is how many of them are listed.
const maxOutsideSources = 20

// Status implements component.StatusReporter.
func (c *Component) Status() (field string, content any) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	counters, outside, err := c.env.Kernel.Guards(ctx)
	if counters == nil && err == nil {
		return "guards", nil // this dataplane has none
	}
	st := &Status{Guards: []GuardStatus{}, UnknownMAC: c.unknownMAC()}
	if err != nil {
		st.Error = err.Error()
	}
	for _, n := range counters {
		info, _ := n.Guard.Info()
		st.Guards = append(st.Guards, GuardStatus{n.Guard, info.Drops, c.isOff(n.Guard), n.Packets, n.Bytes})
	}
	for _, s := range outside[:min(len(outside), maxOutsideSources)] {
		st.OutsideSources = append(st.OutsideSources, OutsideSource{s.Source.String(), s.Packets})
	}
	return "guards", st
}

// isOff reports whether a guard is switched off.
func (c *Component) isOff(g dataplane.Guard) bool {
	switch g {
	case dataplane.GuardSource:
		return !c.cfg.Check
	case dataplane.GuardUnknown:
		return !c.cfg.DenyUnknown
	}
	return !c.cfg.Guards.Has(g)
}

// unknownMAC lists the endpoints on bridges whose hardware address is not known.
func (c *Component) unknownMAC() []string {
	if c.isOff(dataplane.GuardMAC) || !c.cfg.Check {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for key, l := range c.state.found {
		if l.Bridge != "" && len(l.MAC) == 0 {
			list = append(list, key.Namespace+"/"+key.Name)
		}
	}
	slices.Sort(list)
	return list
}
