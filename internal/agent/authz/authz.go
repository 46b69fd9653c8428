// Package authz answers proxies about requests (Envoy's ext_authz) by the policy that
// the agent has taken in.
package authz

import (
	"context"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/gctune"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/extauthz"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Component answers proxies by a copy of the model of its own: they never wait for the
// loop, and the loop waits for a decision at most.
type Component struct {
	component.Base
	env     component.Env
	cfg     extauthz.Config
	host    policy.HostSettings
	state   *extauthz.State
	server  *extauthz.Server
	pending []policy.Change // of the present batch
}

// Status says how it goes with the answers to proxies.
type Status struct {
	Address string `json:"address"`
	Allowed uint64 `json:"allowed"`
	Denied  uint64 `json:"denied"`
	// Refused are requests that were denied without policy being asked: malformed
	// ones, and those for destinations that nobody knows.
	Refused uint64 `json:"refused"`
}

// New opens the address where proxies ask. Without a configuration there is none.
func New(env component.Env, cfg *extauthz.Config, host policy.HostSettings) (component.Component, error) {
	if cfg == nil {
		return component.Base{}, nil
	}
	state := extauthz.NewState(env.Node)
	server, err := extauthz.Listen(*cfg, state, env.Log)
	if err != nil {
		return nil, err
	}
	env.Metrics.MustRegister(collector{server})
	return &Component{env: env, cfg: *cfg, host: host, state: state, server: server}, nil
}

// Start answers until the context ends.
func (c *Component) Start(ctx context.Context) error {
	gctune.ReduceLatency()
	c.env.Log.Info("answering proxies (ext_authz)", "address", c.cfg.Address)
	go func() {
		if err := c.server.Serve(ctx); err != nil {
			c.env.Log.Error("proxies are not answered any more (ext_authz)", "error", err)
		}
	}()
	return nil
}

// Changed notes a change of the model, which the end of the batch or the next attempt
// brings about.
func (c *Component) Changed(change model.Change) {
	c.pending = append(c.pending, change.Change)
}

// Taken brings the copy of the model up to date.
func (c *Component) Taken(b *store.Batch) {
	c.apply()
	if !touchesNodes(b) {
		return
	}
	var nodes []*policy.Node
	c.env.Model.Read(func(v model.View) { nodes = v.Nodes() })
	c.state.SetNodes(nodes, c.host)
}

// BeforeStep brings the copy of the model up to date with what other components emitted.
func (c *Component) BeforeStep(context.Context, component.Step) error {
	c.apply()
	return nil
}

func (c *Component) apply() {
	c.state.Apply(c.pending)
	clear(c.pending)
	c.pending = c.pending[:0]
}

func touchesNodes(b *store.Batch) bool {
	for i := range b.Updated {
		if k := b.Updated[i].Key.Kind; k == policy.KindNode || k == policy.KindHostEndpoint {
			return true
		}
	}
	for _, k := range b.Deleted {
		if k.Kind == policy.KindNode || k.Kind == policy.KindHostEndpoint {
			return true
		}
	}
	return false
}

// AfterStep says that policy decides, once the first state was taken in.
func (c *Component) AfterStep(_ context.Context, r component.Result) {
	if r.First {
		c.server.Ready()
	}
}

// Close ends what was not started.
func (c *Component) Close() error {
	c.server.Close()
	return nil
}

// Status implements component.StatusReporter.
func (c *Component) Status() (field string, content any) {
	n := c.server.Counts()
	return "extAuthz", &Status{Address: c.cfg.Address, Allowed: n.Allowed, Denied: n.Denied, Refused: n.Refused}
}
