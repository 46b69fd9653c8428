// Package dnslearner learns the addresses of the domains that policy names, from the
// answers that pass this node, and lets each answer go once its addresses are in force.
package dnslearner

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/gctune"
	"github.com/tierwall/tierwall/internal/agent/kernel"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/dns/learn"
	"github.com/tierwall/tierwall/internal/lasterror"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Config says whose answers the addresses of domains are learned from.
type Config struct {
	// Servers are trusted, and no others; nil: those that ResolvConf names, the addresses
	// of Service, and a cache on this node.
	Servers []netip.Addr
	// ResolvConf are files that name the host's resolvers; those that are not there
	// are passed over. Nil: the usual ones.
	ResolvConf []string
	// Service is the cluster's DNS service, as namespace and name.
	Service policy.Key
	// Internal are the domains whose names may have addresses of the cluster; nil: those
	// of dns.DefaultClusterDomain.
	Internal []dns.Domain
	// Queue is the number of the kernel's queue for answers; 0: learn.DefaultQueue.
	Queue uint16
	// Limits bound what is learned; zero: dns.DefaultLimits.
	Limits dns.Limits

	// inUse gives the addresses that connections go to at this moment; nil: the kernel's.
	inUse func(context.Context) (map[netip.Addr]struct{}, error)
}

const (
	// expireInterval is the time between two looks for records whose time is over.
	expireInterval = 5 * time.Second
	// useGrace is how long an address holds on that a connection lives to.
	useGrace = 30 * time.Second
)

// Component learns.
type Component struct {
	component.Base
	env     component.Env
	cfg     Config
	learner *learn.Learner
	servers servers // whose answers are trusted
	metrics *metrics
	learned chan struct{} // there is something to flush

	serving     chan struct{} // holds one while a client is served
	heartbeatMu sync.Mutex
	heartbeat   *nft.Heartbeat // nil: not opened yet

	// Of the loop alone: whether the queue rules may have to be others, and whether the
	// kernel was told them; whose addresses are.
	changed, stated bool
	inventory       *Inventory
	// left says that addresses may have ceased to be the cluster's.
	left atomic.Bool

	mu      sync.Mutex              // held to write by the loop, and to read by all others
	rules   dataplane.DNSQueueRules // that the kernel was told last
	failure lasterror.Error         // of telling it
}

// New makes the component. Without a configuration it only says that it does nothing: domains
// denote no address then.
func New(env component.Env, cfg *Config) component.Component {
	if cfg == nil {
		return disabled{}
	}
	c := &Component{env: env, cfg: *cfg, learned: make(chan struct{}, 1), serving: make(chan struct{}, 1), inventory: NewInventory()}
	if c.cfg.Queue == 0 {
		c.cfg.Queue = learn.DefaultQueue
	}
	if c.cfg.inUse == nil {
		c.cfg.inUse = connectionsTo
	}
	c.servers = servers{cfg: &c.cfg, log: env.Log}
	c.metrics = newMetrics(c)
	c.learner = learn.New(learn.Config{
		Queue: c.cfg.Queue, Journal: Path(env.RunDir, env.Namespace), Limits: cfg.Limits, Log: env.Log,
		Observe:   func(d time.Duration) { c.metrics.delay.Observe(d.Seconds()) },
		Heartbeat: c.beat, HeartbeatInterval: nft.HeartbeatInterval,
		News: func() {
			select {
			case c.learned <- struct{}{}:
			default: // somebody knows already
			}
		},
	})
	c.learner.SetGuard(dns.Guard{Owner: c.owner, Internal: c.cfg.internal()})
	return c
}

// owner returns what of the cluster has an address. It is called by the loop's goroutine,
// outside of the model's lock.
func (c *Component) owner(a netip.Addr) (r dns.Reason) {
	c.env.Model.Read(func(v model.View) { r = c.inventory.Owner(a, v.Owned) })
	return r
}

// internal returns the domains whose names may have addresses of the cluster.
func (c *Config) internal() []dns.Domain {
	if c.Internal != nil {
		return c.Internal
	}
	return dns.InternalDomains(dns.Domain{Name: dns.DefaultClusterDomain})
}

// Path returns where what was learned is kept, below the directory of the lock file.
func Path(dir string, namespace uint64) string {
	return component.RunFile(dir, "learned", namespace, ".txt")
}

// Start reads answers until the context ends.
func (c *Component) Start(ctx context.Context) error {
	if count := c.learner.Restored(); count > 0 {
		c.env.Log.Info("addresses of domains that an earlier agent has learned stay in force", "addresses", count)
	}
	go func() {
		// The queue is opened only once what was learned before is in the kernel:
		// until then answers pass, as they do without an agent.
		select {
		case <-c.env.FirstInForce():
			c.learner.Run(ctx)
		case <-ctx.Done():
		}
	}()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-c.learned:
			}
			// What is new is taken up by the attempt that follows.
			_ = c.env.Call(ctx, func() {})
		}
	}()
	go c.expire(ctx)
	return nil
}

// expire has the loop forget what has expired.
func (c *Component) expire(ctx context.Context) {
	tick := time.NewTicker(expireInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if c.left.Swap(false) && c.learner.RefusesAny() {
			_ = c.env.Call(ctx, c.learner.ReconsiderRefused)
		}
		if !c.learner.Due() {
			continue
		}
		used, err := c.cfg.inUse(ctx)
		if err != nil && ctx.Err() == nil {
			c.env.Log.Warn("which addresses of domains are still in use cannot be read, so none is forgotten", "error", err)
			continue
		}
		_ = c.env.Call(ctx, func() {
			c.learner.Expire(func(addr netip.Addr) bool { _, in := used[addr]; return in }, useGrace)
		})
	}
}

// connectionsTo returns the addresses that connections of this network namespace go to.
func connectionsTo(ctx context.Context) (map[netip.Addr]struct{}, error) {
	entries, err := kernel.LiveConnections(ctx)
	if err != nil {
		return nil, err
	}
	to := make(map[netip.Addr]struct{}, len(entries))
	for i := range entries {
		to[entries[i].Flow.Dst] = struct{}{}
	}
	return to, nil
}

// Changed follows the domains in use, and whose addresses are: one that was learned for a
// name and is an endpoint's now counts no more when the endpoint's own tables are in force.
// One that is nobody's any more may wait for the next look.
func (c *Component) Changed(change model.Change) {
	if change.Key.ObjectType() == policy.EndpointObject {
		c.left.Store(true)
		if ep, ok := change.Object.(*policy.Endpoint); ok {
			c.learner.Reconsider(ep.Addrs...)
		}
		return
	}
	set, isSet := change.Object.(*policy.Set)
	if !isSet && change.Object != nil || change.Key.Kind == policy.KindLearned {
		return
	}
	before := c.learner.InUse()
	c.learner.SetDomains(change.Key, set)
	c.changed = c.changed || before != c.learner.InUse()
}

// Taken follows the cluster's DNS service, and the addresses of services and nodes.
func (c *Component) Taken(b *store.Batch) {
	c.changed = c.servers.follow(b) || c.changed
	added, removed := c.inventory.Take(b)
	c.learner.Reconsider(added...)
	if removed {
		c.left.Store(true)
	}
}

// BeforeStep tells the kernel whose answers to show, and the model what was learned.
// That the kernel cannot is no reason to enforce nothing: domains denote fewer addresses
// then.
func (c *Component) BeforeStep(ctx context.Context, s component.Step) error {
	// The host's DNS servers are in a file that nobody watches, thus Resync.
	c.changed = c.changed || s.Full || s.LocalChange || s.Resync
	if c.changed {
		c.learner.Reconsider(c.inventory.SetLocal(localAddrs())...)
		c.left.Store(true)
	}
	if c.changed && c.env.Kernel.HasDNSQueue() {
		c.setRules(ctx, s.Full)
	}
	var learned []policy.Change
	note := func(change policy.Change) { learned = append(learned, change) }
	if s.Full {
		c.learner.Each(note)
	} else {
		c.learner.Flush(note)
	}
	c.env.Emit(learned)
	return nil
}

// setRules has the kernel show the answers that are to be seen, if it does not, or if it
// is to be told in any case.
func (c *Component) setRules(ctx context.Context, anew bool) {
	rules := c.wanted()
	c.changed = false
	c.stated = c.stated && !anew
	sameServers := slices.Equal(rules.Servers, c.rules.Servers)
	if c.stated && sameServers && slices.Equal(rules.Clients, c.rules.Clients) {
		return
	}
	err := c.env.Kernel.SetDNSQueue(ctx, rules)
	c.mu.Lock()
	began, _, _ := c.failure.Set(err)
	if err == nil {
		c.rules = rules
	}
	c.mu.Unlock()
	if began {
		c.env.Log.Error("the addresses of domains are not learned", "error", err)
	}
	if err != nil {
		c.changed = true
		return
	}
	c.stated = true
	if !sameServers {
		c.env.Log.Info("answers of these DNS servers are trusted", "servers", fmt.Sprint(rules.Servers))
	}
	if len(rules.Servers) > 0 {
		gctune.ReduceLatency()
	}
	c.learner.Beat()
}

// wanted returns the rules that should be in force.
func (c *Component) wanted() dataplane.DNSQueueRules {
	rules := dataplane.DNSQueueRules{Queue: c.cfg.Queue}
	if !c.learner.InUse() {
		return rules
	}
	rules.Servers = c.servers.list()
	hosts, namespaces := false, map[netip.Addr]string{}
	c.env.Model.Read(func(v model.View) {
		for _, ep := range v.Locals() {
			rules.Clients = append(rules.Clients, ep.Addrs...)
			for _, a := range ep.Addrs {
				namespaces[a.Unmap()] = ep.Key.Namespace
			}
		}
		hosts = v.HasHosts()
	})
	for a := range c.inventory.local {
		if _, isPod := namespaces[a]; !isPod {
			namespaces[a] = ""
		}
	}
	c.learner.SetClients(namespaces)
	rules.Clients = clients(rules.Clients, hosts, rules.Servers)
	return rules
}

// AfterStep lets answers go whose addresses the kernel has.
func (c *Component) AfterStep(_ context.Context, r component.Result) {
	if r.Err == nil {
		c.learner.InForce()
	}
}

// beat says that answers are read. The socket for it is opened when it is needed.
func (c *Component) beat() error {
	c.heartbeatMu.Lock()
	defer c.heartbeatMu.Unlock()
	if c.heartbeat == nil {
		p, err := nft.OpenHeartbeat("")
		if err != nil {
			return err
		}
		c.heartbeat = p
	}
	return c.heartbeat.Beat()
}

// Close writes down what was learned last, and ends the heartbeat.
func (c *Component) Close() error {
	c.heartbeatMu.Lock()
	defer c.heartbeatMu.Unlock()
	err := c.learner.Close()
	if c.heartbeat != nil {
		err = errors.Join(err, c.heartbeat.Close())
		c.heartbeat = nil
	}
	return err
}
