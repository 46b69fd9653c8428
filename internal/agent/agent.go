// Package agent is the node's loop: it reads a store, translates and compiles
// what it finds, keeps the kernel of this host enforcing it, and says how it is
// going: by log lines, as JSON, as metrics, and in a report to the cluster.
//
// The loop is one goroutine. A batch of the store, together with all that wait
// behind it, becomes one delta and one atomic step of the kernel. If that
// fails, everything is compiled and written anew after a pause, so that no error
// leaves the kernel with half of a state. Whatever happens, what was last in force
// stays in force: while the store cannot be reached, and at the end of the
// agent too.
//
// All else is done by components, which package component describes: see
// newComponents for their list.
package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/agent/antispoof"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/agent/gctune"
	"github.com/tierwall/tierwall/internal/agent/kernel"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/agent/packetlog"
	"github.com/tierwall/tierwall/internal/agent/resume"
	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/extauthz"
	"github.com/tierwall/tierwall/internal/store"
)

// Config says what an agent does.
type Config struct {
	// Source is where resources come from.
	Source store.Source
	// Waiting is told what the first state of the source waits for; nil: nobody is.
	Waiting *Waiting
	// Node is the name of this host in the resources: the agent enforces for
	// the endpoints of this node.
	Node string
	// MetricsAddr is the loopback address and port that serves metrics, health
	// and status; empty: none.
	MetricsAddr string
	// CheckInterval is the time between two looks at what the kernel holds; 0: 30 s.
	CheckInterval time.Duration
	// StaleLimit is for how long the store may be out of reach until the agent is not ready; 0: for ever.
	StaleLimit time.Duration
	// RunDir holds the lock file; empty: /run/tierwall.
	RunDir string
	// Open gives the kernel's tables. It is called again after a failed step.
	Open func() (dataplane.Dataplane, error)
	// ExternalChanges calls changed whenever another process may have changed the
	// kernel's tables, until the context ends; nil: nobody can tell.
	ExternalChanges func(ctx context.Context, changed func()) error
	// PacketLog gives the packets that rules with action Log match; nil: nobody does.
	PacketLog packetlog.Source
	// Resume is how live connections are taken up that the kernel does not know; zero: they are not.
	Resume resume.Config
	// Links finds the interfaces of local endpoints; nil: nobody does.
	Links antispoof.Links
	// CheckSources has the sources of packets checked that come in by them.
	CheckSources bool
	// Guards say what is dropped before policy is asked. Open has them as well.
	Guards dataplane.GuardSettings
	// AllowSources honours what pods' annotations say of sources beside their own.
	AllowSources bool
	// KeepReservedGroups has a bridge learn nothing from frames that meet no rule; nil:
	// bridges are left as they are.
	KeepReservedGroups func(bridge int) error
	// Inspect looks for other programs that take packets past policy; nil: nobody does.
	Inspect func() (enforceable.Programs, error)
	// Host is what is in force at host endpoints beside policy; for warnings only, the
	// tables have it by Open.
	Host dataplane.HostSettings
	// APIServer is where the store is, if that is known: a host endpoint that would
	// cut it off is worth a warning.
	APIServer netip.AddrPort
	// ExtAuthz answers proxies about requests (Envoy's ext_authz); nil: nobody does.
	ExtAuthz *extauthz.Config
	// DenyUnknown denies traffic of addresses in the node's own pod networks that no
	// endpoint is known at.
	DenyUnknown bool
	// DNS says from whose answers the addresses of domains are learned; nil: from
	// nobody's, so that domains denote no address.
	DNS *dnslearner.Config
	// CNI answers the CNI plugin; nil: there is none.
	CNI *cni.ServerConfig
	// Installer keeps the plugin installed while CNI answers; nil: somebody else does.
	Installer *cni.Installer
	// Report writes what is enforced here to the cluster; nil: nowhere.
	Report func(context.Context, *v1alpha1.NodePolicyReport) error
	Log    *slog.Logger
	// Version is shown in status and metrics.
	Version string

	hostSocket string        // by which agents of one host know of one another; empty: the usual one
	retryPause time.Duration // before the first retry; 0: 1 s
	// noInterfaceGrace is how long no interface may lead to a pod before that is said; 0: enforceable.DefaultGrace.
	noInterfaceGrace time.Duration
}

const (
	defaultCheckInterval = 30 * time.Second
	defaultRetryPause    = time.Second
	maxRetry             = 30 * time.Second
)

// agent is a running one.
type agent struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	started time.Time
	// fromFiles and fromKube are what is peculiar to a kind of store.
	fromFiles, fromKube bool

	kernel     *kernel.Kernel
	model      *model.Model
	progress   progress
	components []component.Component
	// Of whom the status asks where endpoints are, and for which policy is not in force.
	antispoof   *antispoof.Component
	enforceable *enforceable.Component

	calls chan func()   // what others have the loop do
	ended chan struct{} // closed when the loop has ended
	busy  atomic.Int64  // since when the loop is at work, in Unix nanoseconds; 0: it waits
	// firstInForce is closed when the first state is in the kernel.
	firstInForce chan struct{}

	// Of the loop alone.
	behind       error     // why the kernel is, if it waits for the next try; nil: it does not
	received     time.Time // when the earliest change that is not in the kernel came
	localChanged bool      // since the last attempt; see component.Step
}

// Run enforces until the context ends, and leaves what is in force then. It
// fails if it cannot begin (nothing is changed then) and if the store ends.
func Run(ctx context.Context, cfg Config) error {
	namespace, unlock, err := lock(&cfg)
	if err != nil {
		return err
	}
	defer unlock()
	listener, err := listen(cfg.MetricsAddr)
	if err != nil {
		return err
	}
	a, err := newAgent(cfg, namespace)
	defer a.close()
	if err != nil {
		return err
	}
	if listener != nil {
		stop := a.serve(listener)
		defer stop()
	}
	gctune.SaveMemory()
	return a.loop(ctx)
}

// newAgent makes an agent that does nothing yet, for the network namespace of the given number. It is
// to be closed even if that fails.
func newAgent(cfg Config, namespace uint64) (*agent, error) {
	if cfg.CheckInterval == 0 {
		cfg.CheckInterval = defaultCheckInterval
	}
	if cfg.retryPause == 0 {
		cfg.retryPause = defaultRetryPause
	}
	if cfg.noInterfaceGrace == 0 {
		cfg.noInterfaceGrace = enforceable.DefaultGrace
	}
	cfg.RunDir = runDir(cfg.RunDir)
	a := &agent{
		cfg: cfg, log: cfg.Log, started: time.Now(),
		fromFiles: strings.HasPrefix(cfg.Source.String(), "files:"),
		fromKube:  cfg.Source.String() == "kube",
		kernel:    kernel.New(cfg.Open, requirements(&cfg), cfg.Log), model: model.New(cfg.Node),
		calls: make(chan func()), ended: make(chan struct{}), firstInForce: make(chan struct{}),
	}
	a.metrics = newMetrics(a)
	return a, a.newComponents(component.Env{
		Loop: a, Node: cfg.Node, Model: a.model, Kernel: a.kernel, Log: cfg.Log, Metrics: a.metrics.registry,
		RunDir: cfg.RunDir, Namespace: namespace,
	})
}

// requirements returns the features that a configuration asks of the dataplane.
func requirements(cfg *Config) []kernel.Requirement {
	var list []kernel.Requirement
	if cfg.CheckSources {
		list = append(list, kernel.Requirement{Feature: dataplane.FeatureAntiSpoofing, Setting: "--check-sources"})
	}
	if cfg.DenyUnknown {
		list = append(list, kernel.Requirement{Feature: dataplane.FeatureAntiSpoofing, Setting: "--deny-unknown-pods"})
	}
	if cfg.DNS != nil {
		list = append(list, kernel.Requirement{Feature: dataplane.FeatureDNSQueue, Setting: "--dns-servers"})
	}
	return list
}

// close ends what newAgent has opened, and leaves what is in force.
func (a *agent) close() {
	for i := len(a.components) - 1; i >= 0; i-- {
		if err := a.components[i].Close(); err != nil {
			a.log.Debug("close", "error", err)
		}
	}
	a.kernel.Close()
}
