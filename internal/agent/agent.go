// Package agent is the node's loop: it reads a store, translates and compiles
// what it finds, keeps the kernel of this host enforcing it, and says how it is
// going: by log lines, as JSON, as metrics, and in a report to the cluster.
//
// The loop is one goroutine. A step of the store, together with all that wait
// behind it, becomes one delta and one atomic step of the kernel. If a step
// fails, everything is compiled and written anew after a pause, so that no error
// leaves the kernel with half of a state. Whatever happens, what was last in force
// stays in force: while the store cannot be reached, and at the end of the
// agent too.
package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/extauthz"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
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
	// RunDir holds the lock file; empty: /run/tierwall.
	RunDir string
	// Open gives the kernel's tables. It is called again after a failed step.
	Open func() (dataplane.Dataplane, error)
	// Meddling calls changed whenever another process may have changed the
	// kernel's tables, until the context ends; nil: nobody can tell.
	Meddling func(ctx context.Context, changed func()) error
	// PacketLog gives the packets that rules with action Log match; nil: nobody does.
	PacketLog PacketLog
	// Links finds the interfaces of local endpoints, so that the sources of their
	// packets are checked; nil: they are not.
	Links Links
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
	DNS *DNS
	// CNI answers the CNI plugin; nil: there is none.
	CNI *cni.ServerConfig
	// Installer keeps the plugin installed while CNI answers; nil: somebody else does.
	Installer *cni.Installer
	// Report writes what is enforced here to the cluster; nil: nowhere.
	Report func(context.Context, *v1alpha1.NodePolicyReport) error
	Log    *slog.Logger
	// Version is shown in status and metrics.
	Version string

	retryPause time.Duration // before the first retry; 0: 1 s
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

	// kernel guards the dataplane, which serves one caller at a time. It is nil
	// after a failed step, until the next try.
	kernel    sync.Mutex
	dataplane dataplane.Dataplane
	cutBefore uint64 // connections cut by those before it

	// mu guards what the loop writes and status reads. It is held while the
	// model is compiled.
	mu         sync.RWMutex
	translator *translate.Translator
	engine     *engine.Engine
	view       *view
	findings   []store.Finding // the store's, at present

	// progressMu guards what is asked for all the time.
	progressMu sync.RWMutex
	inForce    progress
	links      linkState

	asks     chan func()   // what others have the loop do
	ended    chan struct{} // closed when the loop has ended
	server   atomic.Pointer[cni.Server]
	reporter *reporter    // nil: no reports
	busy     atomic.Int64 // since when the loop is at work, in Unix nanoseconds; 0: it waits
	// firstInForce is closed when the first state is in the kernel; cniBroken says
	// that the CNI plugin gets no answer any more.
	firstInForce chan struct{}
	cniBroken    atomic.Bool
	nodes        atomic.Int64 // of the cluster, as far as pods have told

	names *names // nil: nothing is done about domains
	authz *authz // nil: proxies are not answered

	// Of the loop alone.
	retap    bool                      // whose DNS answers are to be seen may have changed
	retrying bool                      // a step has failed; the next try has its time
	fresh    bool                      // the engine has taken the model in, and nothing came out yet
	pods     *pods                     // of this node
	waiters  map[*waiter]struct{}      // for pods to be enforced for
	received time.Time                 // when the earliest change that is not in the kernel came
	journal  *journal                  // nil if it cannot be kept
	earlier  map[policy.Key]remembered // what it held at the start
	held     map[policy.Key]string     // restored, and still unknown to the store; with their files
	invalid  map[policy.Key]store.Resource
	guard    dataplane.Guard
	relink   bool // interfaces are to be looked for
	lastCut  time.Time
	ifNames  map[netip.Addr]string // interfaces of this host, as host endpoints were placed by
	warned   []string              // of host endpoints
	// apiServerAt is cfg.APIServer as policy for this host is asked about it: translated, if it is a Service's.
	apiServerAt     netip.AddrPort
	apiServerSought time.Time
	// cutNow says that endpoints here have other addresses: before somebody is told
	// that policy holds for one, connections of who had its address before are cut.
	cutNow bool
}

// progress says how far the kernel is.
type progress struct {
	complete  bool          // the first state was taken in
	applied   time.Time     // of the last step; zero before the first
	took      time.Duration // it
	steps     int
	failure   string // why the kernel is behind; empty if it is not
	checked   time.Time
	repairs   int
	lastDrift []string
}

// Run enforces until the context ends, and leaves what is in force then. It
// fails if it cannot begin (nothing is changed then) and if the store ends.
func Run(ctx context.Context, cfg Config) error {
	if cfg.CheckInterval == 0 {
		cfg.CheckInterval = defaultCheckInterval
	}
	namespace, unlock, err := lock(cfg.RunDir)
	if err != nil {
		return err
	}
	defer unlock()
	listener, err := listen(cfg.MetricsAddr)
	if err != nil {
		return err
	}
	a := newAgent(cfg)
	defer a.closeDataplane()
	if err := a.listenAuthz(); err != nil {
		return err
	}
	defer a.closeAuthz()
	if a.journal, a.earlier, err = openJournal(cfg.RunDir, namespace); err != nil {
		return err
	}
	defer func() { _ = a.journal.close() }() // every line is written at once
	a.newNames(cfg.DNS, namespace)
	if a.names != nil {
		defer func() { _ = a.names.Close() }() // here too
	}
	if listener != nil {
		stop := a.serve(listener)
		defer stop()
	}
	tuneMemory()
	return a.loop(ctx)
}

func newAgent(cfg Config) *agent {
	if cfg.retryPause == 0 {
		cfg.retryPause = defaultRetryPause
	}
	a := &agent{
		cfg: cfg, log: cfg.Log, started: time.Now(),
		fromFiles:  strings.HasPrefix(cfg.Source.String(), "files:"),
		fromKube:   cfg.Source.String() == "kube",
		translator: translate.New(translate.Options{}), view: newView(cfg.Node),
		engine: newEngine(cfg.Node), fresh: true,
		asks: make(chan func()), ended: make(chan struct{}), firstInForce: make(chan struct{}),
		pods: newPods(cfg.Node), waiters: map[*waiter]struct{}{}, invalid: map[policy.Key]store.Resource{},
	}
	a.metrics = newMetrics(a)
	if cfg.Report != nil {
		a.reporter = newReporter(a)
	}
	return a
}

// newEngine makes an engine for the endpoints of one node.
func newEngine(node string) *engine.Engine {
	return engine.New(func(ep *policy.Endpoint) bool { return ep.Node == node })
}
