package agent

import (
	"context"

	"github.com/tierwall/tierwall/internal/extauthz"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// authz answers proxies about requests, by a copy of the model of its own: they
// never wait for the loop, and the loop waits for a decision at most.
type authz struct {
	state   *extauthz.State
	server  *extauthz.Server
	pending []policy.Change // of the present step
}

// AuthzStatus says how it goes with the answers to proxies.
type AuthzStatus struct {
	Address string `json:"address"`
	Allowed uint64 `json:"allowed"`
	Denied  uint64 `json:"denied"`
	// Refused are requests that were denied without policy being asked: malformed
	// ones, and those for destinations that nobody knows.
	Refused uint64 `json:"refused"`
}

// listenAuthz opens the address where proxies ask.
func (a *agent) listenAuthz() error {
	if a.cfg.ExtAuthz == nil {
		return nil
	}
	state := extauthz.NewState(a.cfg.Node)
	server, err := extauthz.Listen(*a.cfg.ExtAuthz, state, a.log)
	if err != nil {
		return err
	}
	a.authz = &authz{state: state, server: server}
	a.metrics.registry.MustRegister(authzCollector{server})
	return nil
}

// closeAuthz ends what was not asked to serve.
func (a *agent) closeAuthz() {
	if a.authz != nil {
		a.authz.server.Close()
	}
}

// serveAuthz answers until the context ends.
func (a *agent) serveAuthz(ctx context.Context) {
	if a.authz == nil {
		return
	}
	garbage.calm()
	a.log.Info("answering proxies (ext_authz)", "address", a.cfg.ExtAuthz.Address)
	go func() {
		if err := a.authz.server.Serve(ctx); err != nil {
			a.log.Error("proxies are not answered any more (ext_authz)", "error", err)
		}
	}()
}

// tellAuthz notes a change of the model, which the end of the step brings about.
func (a *agent) tellAuthz(c policy.Change) {
	if a.authz != nil {
		a.authz.pending = append(a.authz.pending, c)
	}
}

// stepAuthz brings the copy of the model up to date. The caller does not hold mu.
func (a *agent) stepAuthz(b *store.Batch) {
	if a.authz == nil {
		return
	}
	a.authz.state.Apply(a.authz.pending)
	clear(a.authz.pending)
	a.authz.pending = a.authz.pending[:0]
	if b != nil && touchesNodes(b) {
		a.authz.state.SetNodes(a.translator.Nodes(), a.cfg.Host.HostSettings)
	}
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

// readyAuthz says that the first state was taken in.
func (a *agent) readyAuthz() {
	if a.authz != nil {
		a.authz.server.Ready()
	}
}

func (a *agent) authzStatus() *AuthzStatus {
	if a.authz == nil {
		return nil
	}
	c := a.authz.server.Counts()
	return &AuthzStatus{Address: a.cfg.ExtAuthz.Address, Allowed: c.Allowed, Denied: c.Denied, Refused: c.Refused}
}
