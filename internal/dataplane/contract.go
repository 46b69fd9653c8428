package dataplane

import (
	"context"
	"errors"
	"fmt"

	"github.com/tierwall/tierwall/policy"
)

// The contract of a backend. Dataplane is required of each. Each optional part is an
// interface of its own, and a Feature by which a flag asks for it:
//
//	Cutter       FeatureCutting       live connections that a change denies are ended
//	AntiSpoofer  FeatureAntiSpoofing  packets with a source that is not the endpoint's are dropped
//	Guarder      FeatureGuards        what policy cannot judge is dropped, and counted
//	DNSQueuer    FeatureDNSQueue      answers of DNS servers wait until what they state is in force
//	Resumer      FeatureResuming      live connections that the kernel does not know are taken up
//
// Who is told to use a feature calls Require once, when the backend is opened, so that
// what a backend cannot do is refused and not passed over. Options that hold from the
// start (logging, settings of host endpoints) belong to the backend's constructor.
// What a table that was read back can be asked is in readback.go.

// Dataplane enforces tables. Its methods may be called from one goroutine at a time.
type Dataplane interface {
	// Apply brings the tables to their next state. The first delta of a new
	// Dataplane replaces, in the same atomic step, whatever an earlier process
	// left in force. On an error nothing has changed.
	Apply(ctx context.Context, d *Delta) error
	// Check reads back what is in force and compares. Differences are repaired
	// by writing everything anew in one step.
	Check(ctx context.Context) (Drift, error)
	// Counters reads the counters of all deciders.
	Counters(ctx context.Context) ([]Counter, error)
	// State returns the tables that should be in force. They must not be changed, nor
	// used while Apply runs.
	State() *State
	// Remove takes everything away that Apply made. Nothing is enforced afterwards.
	Remove(ctx context.Context) error
	// Close frees resources and leaves what is in force.
	Close() error
}

// Cutter is a dataplane that ends live connections which a change denies, at the
// time that its user chooses.
type Cutter interface {
	Dataplane
	// CutDue reports whether changes since the last Cut may deny live connections.
	CutDue() bool
	// Cut ends the live connections that are denied. That it cannot is for its log.
	Cut(ctx context.Context)
	// ConnectionsCut returns how many it has ended; callable at any time.
	ConnectionsCut() uint64
}

// AntiSpoofer is a dataplane that drops what comes in by a local endpoint's interface
// with a source that is not the endpoint's, before any table is asked.
type AntiSpoofer interface {
	Dataplane
	// SetAntiSpoofing replaces what is known of interfaces in one atomic step. Before the
	// first Apply it takes effect with that. On an error it is as it was.
	SetAntiSpoofing(ctx context.Context, a AntiSpoofing) error
	// Spoofed returns how many packets were dropped for their source, since the
	// tables were made.
	Spoofed(ctx context.Context) (uint64, error)
}

// Guarder is a dataplane with guards, which stand before policy.
type Guarder interface {
	AntiSpoofer
	// GuardCounters returns what each guard has dropped, in the order of Guards.
	GuardCounters(ctx context.Context) ([]GuardCounter, error)
	// OutsideSources lists the addresses of local endpoints that came from where the
	// endpoint is not, of the last time, most packets first.
	OutsideSources(ctx context.Context) ([]SourceCounter, error)
}

// DNSQueuer is a dataplane that can hold up answers of DNS servers in a queue.
type DNSQueuer interface {
	Dataplane
	// SetDNSQueue replaces the rules in one atomic step. On an error they are as they were.
	SetDNSQueue(ctx context.Context, r DNSQueueRules) error
	// QueuedAnswers returns how many packets with answers the kernel has put into the
	// queue, or would have if somebody had opened it, since the rules were made.
	QueuedAnswers(ctx context.Context) (uint64, error)
}

// Resumer is a dataplane that takes up live TCP connections which connection tracking does
// not know: those that began before it tracked any, or whose entries were flushed.
type Resumer interface {
	Dataplane
	// Fresh reports whether the first Apply found no tables of an earlier process: then
	// nobody may have tracked connections.
	Fresh() bool
	// Resume has the kernel track the connections that segments without SYN are of, as
	// far as the tables allow them, begun by the end with the ephemeral port, or by either
	// where the ports do not tell, and returns those. Which are denied stays so.
	Resume(ctx context.Context, segments []policy.Flow) ([]policy.Flow, error)
}

// Feature is an optional part of a backend.
type Feature string

// The features, in words that complete "the dataplane cannot …".
const (
	FeatureCutting      Feature = "end live connections"
	FeatureAntiSpoofing Feature = "check the sources of packets"
	FeatureGuards       Feature = "drop what policy cannot judge"
	FeatureDNSQueue     Feature = "hold up answers of DNS servers"
	FeatureResuming     Feature = "take up live connections that the kernel does not know"
)

// Has reports whether a backend has a feature.
func Has(d Dataplane, f Feature) bool {
	ok := false
	switch f {
	case FeatureCutting:
		_, ok = d.(Cutter)
	case FeatureAntiSpoofing:
		_, ok = d.(AntiSpoofer)
	case FeatureGuards:
		_, ok = d.(Guarder)
	case FeatureDNSQueue:
		_, ok = d.(DNSQueuer)
	case FeatureResuming:
		_, ok = d.(Resumer)
	}
	return ok
}

// ErrUnsupported says that a backend does not have a feature that was asked for.
var ErrUnsupported = errors.New("not supported by this dataplane")

// Require fails with ErrUnsupported if a backend does not have a feature. setting is what
// asks for it, such as "--check-sources".
func Require(d Dataplane, f Feature, setting string) error {
	if Has(d, f) {
		return nil
	}
	return fmt.Errorf("%s: %w: it cannot %s; leave the setting out, or use another dataplane", setting, ErrUnsupported, f)
}

// Counter is what a decider has counted since the tables were made.
type Counter struct {
	Decider Decider
	Packets uint64 // packets that met the tables: the first ones of connections, and all denied ones
	Bytes   uint64
}

// Drift is what a read-back found in the kernel that is not as it was written.
type Drift struct {
	Findings []string // one line each; empty if the kernel holds what it should
	Repaired bool
}
