package antispoof

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
)

// An interface that is taken for a pod's and leads to more cuts all else off that is behind it. A pod that
// lies does so with few sources or with invented ones; what is cut off has many. Both are said, by name; the second as
// what it probably is.

const (
	// manySources is from how many sources at one interface on it probably leads to more than the pod.
	manySources = 8
	// manyPackets is how many drops between two looks are worth a line where it is not known what came in where.
	manyPackets = 1000
	// maxExamples is how many sources are shown.
	maxExamples = 5
)

// Spoofing is what was dropped at the interface of one endpoint because its source is not the endpoint's.
type Spoofing struct {
	Interface string       `json:"interface"`
	Endpoint  string       `json:"endpoint"` // NAMESPACE/NAME
	Packets   uint64       `json:"packets"`
	Sources   int          `json:"sources"`  // how many
	Examples  []netip.Addr `json:"examples"` // those with most packets
}

// IsMany reports whether the interface probably leads to more than the endpoint.
func (s Spoofing) IsMany() bool { return s.Sources >= manySources }

// String says what happens, and what to do about it.
func (s Spoofing) String() string {
	if !s.IsMany() {
		return fmt.Sprintf("%d packets that came in by interface %s of %s were dropped: their source (%s) is not its address", s.Packets, s.Interface, s.Endpoint, s.examples())
	}
	return fmt.Sprintf("%d packets of %d sources (%s) that came in by interface %s were dropped: it is taken for that of %s alone; if it leads to more, give it a route that says so, or run the agent with --check-sources=false",
		s.Packets, s.Sources, s.examples(), s.Interface, s.Endpoint)
}

func (s Spoofing) examples() string {
	text := ""
	for i, a := range s.Examples {
		if i > 0 {
			text += ", "
		}
		text += a.String()
	}
	if s.Sources > len(s.Examples) {
		text += ", ..."
	}
	return text
}

// spoofings sums up what was dropped, by interface; those with most sources first.
func spoofings(list []dataplane.SpoofedSource, links []hostlink.Link) []Spoofing {
	byLink := map[int][]dataplane.SpoofedSource{}
	for _, s := range list {
		byLink[s.Link] = append(byLink[s.Link], s)
	}
	var out []Spoofing
	for _, l := range links {
		sources := byLink[l.Index]
		if len(sources) == 0 {
			continue
		}
		slices.SortFunc(sources, func(a, b dataplane.SpoofedSource) int {
			return cmp.Or(cmp.Compare(b.Packets, a.Packets), a.Source.Compare(b.Source))
		})
		s := Spoofing{Interface: l.Name, Endpoint: l.Key.Namespace + "/" + l.Key.Name, Sources: len(sources)}
		for i, x := range sources {
			s.Packets += x.Packets
			if i < maxExamples {
				s.Examples = append(s.Examples, x.Source)
			}
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b Spoofing) int { return cmp.Compare(b.Sources, a.Sources) })
	return out
}

// lookAtSpoofed reads what was dropped, and logs what is new about it.
func (c *Component) lookAtSpoofed(ctx context.Context) {
	list, told, err := c.env.Kernel.SpoofedSources(ctx)
	if _, changed, _ := c.spoofFailure.Set(err); changed {
		c.env.Log.Warn("what is dropped for its source cannot be read", "error", err)
	}
	switch {
	case err != nil:
	case told:
		c.setSpoofings(spoofings(list, c.Result().Links))
	default:
		c.lookAtTotal(ctx)
	}
}

// setSpoofings keeps what was dropped, and logs each interface when it begins, and when it turns out to be many sources.
func (c *Component) setSpoofings(now []Spoofing) {
	c.mu.Lock()
	before := c.spoofings
	c.spoofings = now
	c.mu.Unlock()
	for _, s := range now {
		i := slices.IndexFunc(before, func(b Spoofing) bool { return b.Interface == s.Interface && b.Endpoint == s.Endpoint })
		switch {
		case s.IsMany() && (i < 0 || !before[i].IsMany()):
			c.env.Log.Error("an interface that is taken for a pod's may lead to more, which is cut off", "problem", s.String(), "interface", s.Interface, "pod", s.Endpoint)
		case i < 0:
			c.env.Log.Warn("a pod sends under another's address", "problem", s.String(), "interface", s.Interface, "pod", s.Endpoint)
		}
	}
}

// lookAtTotal is for a dataplane that only counts.
func (c *Component) lookAtTotal(ctx context.Context) {
	total, err := c.env.Kernel.Spoofed(ctx)
	if err != nil {
		return // the metric says so
	}
	grows := total > c.spoofedTotal+manyPackets
	if grows && !c.spoofedGrew {
		c.env.Log.Warn("many packets that came in by pods' interfaces are dropped because of their source: if it is not a pod that lies, an interface is taken for a pod's and leads to more (tierwall agent status lists them)",
			"packets", total-c.spoofedTotal)
	}
	c.spoofedTotal, c.spoofedGrew = total, grows
}

// Spoofings returns what was dropped lately, by interface; those with most sources first. It is not to be changed.
func (c *Component) Spoofings() []Spoofing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spoofings
}

// CutOff says what is probably cut off by mistake. Without the numbers, which change all the time.
func (c *Component) CutOff() (list []string) {
	for _, s := range c.Spoofings() {
		if s.IsMany() {
			list = append(list, fmt.Sprintf("packets of many sources that come in by interface %s are dropped: it is taken for that of %s alone", s.Interface, s.Endpoint))
		}
	}
	return list
}
