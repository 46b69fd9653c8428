// Package kube reads resources from a Kubernetes cluster: namespaces, service
// accounts, nodes, pods, network policies, and the kinds of projectcalico.org/v3
// that the cluster serves, be it by custom resources or by an API server of
// their own.
//
// Each kind is watched by a stream of its own. What comes is cut down to what
// package translate reads before it goes on, and nothing of it is kept here but
// its key and a hash of what was cut down: a change of anything else costs
// nothing further on.
//
// # What is safe
//
// The first step is complete or does not come: while one kind cannot be read,
// Watch waits and says so (Options.Waiting), for a state without, say, its tiers
// would open what they close. After that, whatever goes wrong, the last state
// that was read stays: a kind that cannot be read any more keeps its objects, an
// object that is not valid its last valid version, and findings say so, until the
// kind or the object can be read again.
package kube

import (
	"fmt"
	"log/slog"

	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/internal/store"
)

// Options says what to read of a cluster.
type Options struct {
	// Namespace limits List to one namespace, and to what is in none, for users that
	// may read no other. Kinds that they may not read are left out, and notes say so.
	// Watch refuses it: enforcing a part would open what the rest closes.
	Namespace string
	// Fallback is the namespace in which List reads what the user may not read in all
	// of them; empty: such kinds are left out. Nodes may be missing altogether then:
	// pods say where they are. Narrowed is called, from several goroutines, with each
	// kind of which no more is read, as in "pods"; nil: nobody is told. Watch knows
	// neither.
	Fallback string
	Narrowed func(kind string)
	// Node limits the nodes that are read to one, and Enforced leaves out what is
	// never enforced: staged policies. An agent of a large cluster needs no more, and
	// each stream and each heartbeat that it does without is one less per node for the
	// API server.
	Node     string
	Enforced bool
	// Services reads Services and EndpointSlices in any case. Without, they are read
	// when a policy is seen that refers to a service.
	Services bool
	// Service is the name of services that are read in any case, such as the cluster's
	// DNS; empty: there are none.
	Service string
	// NodeReports has List read what agents report of their nodes, of which it keeps addresses and ports. Where the
	// server has no such reports there are none; Unreported is told why they cannot be read otherwise, and the list is complete
	// without them. Watch knows neither.
	NodeReports bool
	Unreported  func(error)
	// PolicyOnly reads tiers, policies and sets, of all APIs, and neither what they
	// apply to nor where that is; of services, which there are.
	PolicyOnly bool
	// Log gets what happens to the connection; nil: nobody is told.
	Log *slog.Logger
	// Waiting is called while the first step of Watch is not complete, whenever
	// what it waits for changes, and with nil when it waits no more. It must not
	// block; nil: nobody is told.
	Waiting func([]store.Finding)
}

// New returns the cluster of an API server as a store. It does not connect: whether
// the server answers shows at the first use. An error is one of the
// configuration. The configuration is copied; its rate limit does not apply, for
// Watch has few requests and waits between them when they fail.
func New(cfg *rest.Config, opts Options) (store.Source, error) {
	return newSource(cfg, opts, defaultTiming())
}

type source struct {
	client *client
	opts   Options
	timing timing
	log    *slog.Logger
}

func newSource(cfg *rest.Config, opts Options, t timing) (*source, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("API server: %w", err)
	}
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &source{client: c, opts: opts, timing: t, log: log}, nil
}

// String returns "kube".
func (s *source) String() string { return "kube" }
