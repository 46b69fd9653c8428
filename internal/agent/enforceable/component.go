package enforceable

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/lasterror"
	"github.com/tierwall/tierwall/policy"
)

// DefaultGrace is how long no interface may lead to a pod before that is said: that of a pod that ends goes
// some seconds before the API knows.
const DefaultGrace = 15 * time.Second

// Config says where a component looks.
type Config struct {
	// Links returns what was last found of interfaces; nil: nobody looks, and nothing is said.
	Links func() hostlink.Result
	// Inspect looks for other programs; nil: there are none.
	Inspect func() (Programs, error)
	// Grace is how long no interface may lead to a pod before that is said.
	Grace time.Duration
}

// Component keeps what is said of endpoints that are not enforceable up to date.
type Component struct {
	component.Base
	cfg Config
	env component.Env

	mu       sync.Mutex
	findings []Finding
	affected map[policy.Key]Reason
	warnings []string

	// Of the loop alone.
	programs  Programs
	services  services
	inspected bool
	failure   lasterror.Error
	lost      map[policy.Key]time.Time // since when no interface leads there
}

// New returns the component. It belongs behind the one that finds interfaces.
func New(env component.Env, cfg Config) *Component {
	c := &Component{cfg: cfg, env: env, lost: map[policy.Key]time.Time{}}
	if cfg.Links != nil {
		env.Metrics.MustRegister(collector{c})
	}
	return c
}

// BeforeStep looks again if something may have changed. Of other programs nobody notifies.
func (c *Component) BeforeStep(_ context.Context, s component.Step) error {
	if c.cfg.Links == nil || !s.LocalChange && !s.Resync && c.inspected {
		return nil
	}
	if s.Resync || !c.inspected {
		c.inspect()
	}
	links := c.cfg.Links()
	links.Unknown = c.settled(links.Unknown, time.Now())
	host := Host{links, c.programs}
	c.set(Judge(host, c.endpoints()))
	c.services.look(host)
	c.warn(c.services.warning())
	return nil
}

// warn keeps what is wrong with the host beside policy, and logs it once.
func (c *Component) warn(text string) {
	var now []string
	if text != "" {
		now = []string{text}
	}
	c.mu.Lock()
	before := c.warnings
	c.warnings = now
	c.mu.Unlock()
	switch {
	case text != "" && !slices.Equal(before, now):
		c.env.Log.Warn("something is wrong with this host", "warning", text)
	case text == "" && len(before) > 0:
		c.env.Log.Info("no longer wrong with this host", "was", before[0])
	}
}

// Warnings returns what is wrong with the host that is no matter of policy, and looks like it.
func (c *Component) Warnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.warnings
}

// inspect looks for other programs. What cannot be read leaves what was found before beside what is found now.
func (c *Component) inspect() {
	c.inspected = true
	if c.cfg.Inspect == nil {
		return
	}
	now, err := c.cfg.Inspect()
	if _, changed, _ := c.failure.Set(err); changed {
		c.env.Log.Warn("other programs in the kernel cannot be looked for; what they take past policy may not be said", "error", err)
	}
	if err != nil {
		now.Engines = union(c.programs.Engines, now.Engines)
		now.ServiceProxies = union(c.programs.ServiceProxies, now.ServiceProxies)
		now.Flowtables = union(c.programs.Flowtables, now.Flowtables)
		now.Filters = union(c.programs.Filters, now.Filters)
	}
	c.programs = now
}

func union[T comparable](before, now []T) []T {
	for _, x := range before {
		if !slices.Contains(now, x) {
			now = append(now, x)
		}
	}
	return now
}

// settled leaves out those that an interface has led to until just now.
func (c *Component) settled(unknown []hostlink.Unknown, now time.Time) []hostlink.Unknown {
	lost := map[policy.Key]time.Time{}
	var list []hostlink.Unknown
	for _, u := range unknown {
		if u.Cause == hostlink.NoWay {
			since, found := c.lost[u.Key]
			if !found {
				since = now
			}
			lost[u.Key] = since
			if now.Sub(since) < c.cfg.Grace {
				continue
			}
		}
		list = append(list, u)
	}
	c.lost = lost
	return list
}

// endpoints returns those of this node in order.
func (c *Component) endpoints() (keys []policy.Key) {
	c.env.Model.Read(func(v model.View) {
		for key := range v.Locals() {
			keys = append(keys, key)
		}
	})
	slices.SortFunc(keys, policy.Key.Compare)
	return keys
}

// set keeps what was found, and logs each reason once when it appears and when it ends.
func (c *Component) set(findings []Finding) {
	c.mu.Lock()
	before := c.findings
	c.findings, c.affected = findings, Affected(findings)
	c.mu.Unlock()
	has := func(list []Finding, r Reason) bool {
		return slices.ContainsFunc(list, func(f Finding) bool { return f.Reason == r })
	}
	for _, f := range findings {
		if !has(before, f.Reason) {
			c.env.Log.Error("policy is not enforced", "reason", f.String(), "cause", string(f.Cause), "endpoints", len(f.Endpoints), "first", nameOf(f.Endpoints[0]))
		}
	}
	for _, f := range before {
		if !has(findings, f.Reason) {
			c.env.Log.Info("policy is enforced again", "was", f.What())
		}
	}
}

func nameOf(key policy.Key) string { return key.Namespace + "/" + key.Name }

// Findings returns what was found last, ordered by reasons. It is not to be changed.
func (c *Component) Findings() []Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findings
}

// Affected returns the endpoints that are not enforceable, each with the first of its reasons. It is not to
// be changed.
func (c *Component) Affected() map[policy.Key]Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.affected
}
