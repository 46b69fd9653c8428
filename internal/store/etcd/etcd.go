// Package etcd is the store that keeps objects in etcd, for hosts without
// Kubernetes: the same manifests, one key each, listed, watched and written.
//
// A key is PREFIX/v1/GROUP/KIND/NAMESPACE/NAME, without the namespace for kinds
// that are in none, and its value the object in JSON (see key.go).
package etcd

import (
	"log/slog"
	"strings"
	"time"
)

// Store is etcd as a store. It is a store.Source; its other methods write. It
// holds no connection between calls.
type Store struct {
	opts   Options
	root   string // what all keys begin with, "/tierwall/v1/"
	limits limits
	times  times
}

// limits bound what is read. What is larger is no store of policy, or an attack.
type limits struct {
	value int   // bytes of one object
	keys  int   // objects
	total int64 // bytes of all objects
	page  int64 // objects asked for at once
}

// times are how long what may take.
type times struct {
	request  time.Duration // one request
	doubt    time.Duration // a request until the members are asked one by one what is wrong
	open     time.Duration // opening a watch
	grace    time.Duration // an outage that is not worth a finding
	minPause time.Duration // between two tries, growing
	maxPause time.Duration
	settled  time.Duration // a watch that lasts as long is a sound one
}

// New returns the store that the options describe. It does not wait for etcd:
// whether it answers shows at the first use.
func New(o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if _, err := o.tlsConfig(); err != nil {
		return nil, err
	}
	return &Store{
		opts:   o,
		root:   "/" + o.Prefix + "/" + layout + "/",
		limits: defaultLimits,
		times:  defaultTimes,
	}, nil
}

var (
	defaultLimits = limits{value: MaxValue, keys: 1_000_000, total: maxTotal, page: 1000}
	defaultTimes  = times{
		request: 10 * time.Second, doubt: time.Second, open: 3 * time.Second, grace: 2 * time.Second,
		minPause: 50 * time.Millisecond, maxPause: 5 * time.Second, settled: 10 * time.Second,
	}
)

// String implements store.Source.
func (s *Store) String() string {
	text := "etcd:" + strings.Join(s.opts.Endpoints, ",")
	if s.opts.Prefix != defaultPrefix {
		text += "/" + s.opts.Prefix
	}
	return text
}
