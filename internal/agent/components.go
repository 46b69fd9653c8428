package agent

import (
	"errors"

	"github.com/tierwall/tierwall/internal/agent/antispoof"
	"github.com/tierwall/tierwall/internal/agent/authz"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/conncut"
	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/agent/hostendpoint"
	"github.com/tierwall/tierwall/internal/agent/lastvalid"
	"github.com/tierwall/tierwall/internal/agent/nodereport"
	"github.com/tierwall/tierwall/internal/agent/packetlog"
	"github.com/tierwall/tierwall/internal/agent/podstart"
	"github.com/tierwall/tierwall/internal/agent/resume"
)

// newComponents makes the components, in the order in which they are called. Why one has
// its place is said beside it; a new one goes before podstart.
func (a *agent) newComponents(env component.Env) error {
	authorizer, err := authz.New(env, a.cfg.ExtAuthz, a.cfg.Host.HostSettings)
	if err != nil {
		return err
	}
	versions, err := lastvalid.New(env, a.decides)
	if err != nil {
		return errors.Join(err, authorizer.Close())
	}
	pods := podstart.New(env, podstart.Config{CNI: a.cfg.CNI, Installer: a.cfg.Installer})
	a.antispoof = antispoof.New(env, antispoof.Config{Links: a.cfg.Links, Check: a.cfg.CheckSources, LinkOf: pods.LinkOf, DenyUnknown: a.cfg.DenyUnknown, Guards: a.cfg.Guards, AllowSources: a.cfg.AllowSources, KeepReservedGroups: a.cfg.KeepReservedGroups})
	a.enforceable = enforceable.New(env, a.enforceableConfig())
	a.components = []component.Component{
		versions, // first, so that all others see what it restores as if the store had it
		hostendpoint.New(env, a.cfg.Host, a.cfg.APIServer),
		a.antispoof,   // before the tables and all else in the kernel
		a.enforceable, // after who finds the interfaces
		dnslearner.New(env, a.cfg.DNS),
		authorizer, // after who emits changes of the model
		conncut.New(env),
		nodereport.New(env, nodereport.Config{
			Write: a.cfg.Report, Version: a.cfg.Version, Applied: a.progress.lastApplied, NotEnforceable: a.enforceable, CutOff: a.antispoof.CutOff, Host: a.antispoof.Result, Nodes: pods.Nodes,
		}),
		packetlog.New(env, a.cfg.PacketLog),
		resume.New(env, a.cfg.Resume),
		pods, // last, so that a pod starts when all else has been done
	}
	return nil
}

// enforceableConfig says where to look for what takes packets past policy.
func (a *agent) enforceableConfig() enforceable.Config {
	cfg := enforceable.Config{Inspect: a.cfg.Inspect, Grace: a.cfg.noInterfaceGrace}
	if a.cfg.Links != nil {
		cfg.Links = a.antispoof.Result
	}
	return cfg
}
