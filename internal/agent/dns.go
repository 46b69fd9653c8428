package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/dns/learn"
	"github.com/tierwall/tierwall/policy"
)

// DNS says whose answers the addresses of domains are learned from.
type DNS struct {
	// Servers are trusted, and no others; nil: those that ResolvConf names, and the
	// addresses of Service.
	Servers []netip.Addr
	// ResolvConf are files that name the host's resolvers; those that are not there
	// are passed over. Nil: the usual ones.
	ResolvConf []string
	// Service is the cluster's DNS service, as namespace and name.
	Service policy.Key
	// Queue is the number of the kernel's queue for answers; 0: learn.DefaultQueue.
	Queue uint16
	// Limits bound what is learned; zero: dns.DefaultLimits.
	Limits dns.Limits

	// inUse gives the addresses that connections go to at this moment; nil: the kernel's.
	inUse func(context.Context) (map[netip.Addr]struct{}, error)
}

const (
	// expireInterval is the time between two looks for facts whose time is over.
	expireInterval = 5 * time.Second
	// useGrace is how long an address holds on that a connection lives to.
	useGrace = 30 * time.Second
)

// names is what an agent does about domains. It is nil if it does nothing about
// them: then they denote no address.
type names struct {
	*learn.Learner
	cfg     DNS
	metrics *namesMetrics
	news    chan struct{}

	pulseMu sync.Mutex
	pulses  *nft.Pulse // nil: not opened yet

	// Of the loop alone.
	service []netip.Addr  // the addresses of the cluster's DNS service
	tap     dataplane.Tap // in force
	tapped  bool          // the dataplane was told of tap
	failure string        // why it could not be
}

// newNames makes what is done about domains. The files are those of this network
// namespace.
func (a *agent) newNames(cfg *DNS, namespace uint64) {
	if cfg == nil {
		return
	}
	dir := a.cfg.RunDir
	if dir == "" {
		dir = defaultRunDir
	}
	n := &names{cfg: *cfg, news: make(chan struct{}, 1)}
	if n.cfg.Queue == 0 {
		n.cfg.Queue = learn.DefaultQueue
	}
	if n.cfg.inUse == nil {
		n.cfg.inUse = connectionsTo
	}
	n.metrics = newNamesMetrics(a)
	n.Learner = learn.New(learn.Config{
		Queue: n.cfg.Queue, Journal: namesPath(dir, namespace), Limits: cfg.Limits, Log: a.log,
		Observe: func(d time.Duration) { n.metrics.delay.Observe(d.Seconds()) },
		Pulse:   n.pulse, PulseInterval: nft.PulseInterval,
		News: func() {
			select {
			case n.news <- struct{}{}:
			default: // somebody knows already
			}
		},
	})
	a.names = n
}

// Close closes what is open of them.
func (n *names) Close() error {
	n.pulseMu.Lock()
	defer n.pulseMu.Unlock()
	err := n.Learner.Close()
	if n.pulses != nil {
		err = errors.Join(err, n.pulses.Close())
		n.pulses = nil
	}
	return err
}

// pulse says that answers are read. The socket for it is opened when it is needed.
func (n *names) pulse() error {
	n.pulseMu.Lock()
	defer n.pulseMu.Unlock()
	if n.pulses == nil {
		p, err := nft.OpenPulse("")
		if err != nil {
			return err
		}
		n.pulses = p
	}
	return n.pulses.Beat()
}

func namesPath(dir string, namespace uint64) string {
	return filepath.Join(dir, fmt.Sprintf("learned-%d.txt", namespace))
}

// startNames reads answers until the context ends.
func (a *agent) startNames(ctx context.Context) {
	n := a.names
	if n == nil {
		return
	}
	if count := n.Restored(); count > 0 {
		a.log.Info("addresses of domains that an earlier agent has learned stay in force", "addresses", count)
	}
	go func() {
		// The queue is opened only once what was learned before is in the kernel:
		// until then answers pass, as they do without an agent.
		select {
		case <-a.firstInForce:
			n.Run(ctx)
		case <-ctx.Done():
		}
	}()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-n.news:
			}
			// What is new is taken up by the step that follows.
			_ = a.ask(ctx, func() {})
		}
	}()
	go a.expireNames(ctx)
}

// expireNames has the loop forget what has expired.
func (a *agent) expireNames(ctx context.Context) {
	n := a.names
	tick := time.NewTicker(expireInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !n.Due() {
			continue
		}
		used, err := n.cfg.inUse(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Warn("which addresses of domains are still in use cannot be read, so none is forgotten", "error", err)
			continue
		}
		_ = a.ask(ctx, func() {
			n.Expire(func(addr netip.Addr) bool { _, in := used[addr]; return in }, useGrace)
		})
	}
}

// connectionsTo returns the addresses that connections of this network namespace go to.
func connectionsTo(ctx context.Context) (map[netip.Addr]struct{}, error) {
	entries, err := liveConnections(ctx)
	if err != nil {
		return nil, err
	}
	to := make(map[netip.Addr]struct{}, len(entries))
	for i := range entries {
		to[entries[i].Flow.Dst] = struct{}{}
	}
	return to, nil
}

// noteDomains takes in a change of the model. The caller holds mu.
func (a *agent) noteDomains(c policy.Change) {
	n := a.names
	if n == nil {
		return
	}
	set, isSet := c.Object.(*policy.Set)
	if !isSet && c.Object != nil {
		return
	}
	before := n.InUse()
	n.SetDomains(c.Key, set)
	a.retap = a.retap || before != n.InUse()
}

// flushNames brings what was learned to the engine. The caller holds mu.
func (a *agent) flushNames() {
	if a.names != nil {
		a.names.Flush(func(c policy.Change) { a.engine.Apply(c); a.tellAuthz(c) })
	}
}

// eachName returns a new engine all that was learned. The caller holds mu.
func (a *agent) eachName() {
	if a.names != nil {
		a.names.Each(func(c policy.Change) { a.engine.Apply(c); a.tellAuthz(c) })
	}
}

// namesInForce lets answers go whose addresses the kernel has.
func (a *agent) namesInForce() {
	if a.names != nil {
		a.names.InForce()
	}
}

// setTap tells the kernel whose answers to show, if that has changed. That it
// cannot is no reason to enforce nothing: domains denote fewer addresses then.
func (a *agent) setTap(ctx context.Context) {
	n := a.names
	tapped, ok := a.dataplane.(dataplane.Tapped)
	if n == nil || !ok || n.tapped && !a.retap {
		return
	}
	a.retap = false
	tap := dataplane.Tap{Queue: n.cfg.Queue}
	if n.InUse() {
		tap.Servers = n.servers(a)
		a.mu.RLock()
		for _, ep := range a.view.locals {
			tap.Clients = append(tap.Clients, ep.Addrs...)
		}
		if len(a.view.hosts) > 0 { // the host asks for itself
			tap.Clients = append(tap.Clients, hostAddrs()...)
		}
		a.mu.RUnlock()
		slices.SortFunc(tap.Clients, netip.Addr.Compare)
		tap.Clients = slices.Compact(tap.Clients)
	}
	if n.tapped && slices.Equal(tap.Servers, n.tap.Servers) && slices.Equal(tap.Clients, n.tap.Clients) {
		return
	}
	a.kernel.Lock()
	err := tapped.SetTap(ctx, tap)
	a.kernel.Unlock()
	a.progressMu.Lock()
	defer a.progressMu.Unlock()
	if err != nil {
		if n.failure == "" {
			a.log.Error("the addresses of domains are not learned", "error", err)
		}
		n.failure, a.retap = err.Error(), true
		return
	}
	if !slices.Equal(tap.Servers, n.tap.Servers) {
		a.log.Info("answers of these DNS servers are trusted", "servers", fmt.Sprint(tap.Servers))
	}
	n.tap, n.tapped, n.failure = tap, true, ""
	if len(tap.Servers) > 0 {
		garbage.calm()
	}
	n.Beat()
}
