package lab

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tierwall/tierwall/policy"
)

// DefaultTimeout is how long a probe waits for an answer if it is not told. On
// one machine nothing is lost on the way, so that an answer comes within
// milliseconds or never.
const DefaultTimeout = 400 * time.Millisecond

// Verdict says how a probe ended.
type Verdict uint8

// The verdicts. A probe that could not be made, or to which the server would not
// have answered anyway, has Failed: it says nothing about policy.
const (
	Failed Verdict = iota
	Allowed
	Denied
)

// String returns "allowed", "denied" or "failed".
func (v Verdict) String() string {
	switch v {
	case Allowed:
		return "allowed"
	case Denied:
		return "denied"
	}
	return "failed"
}

// Outcome is what became of a probe.
type Outcome struct {
	Verdict Verdict
	// Detail says it in words: "answered in 1.2ms", "no answer in 400ms",
	// "connection refused".
	Detail string
	// Server is the name of the host that answered, if any.
	Server string
	// Seen is the source that the server saw; its port is 0 for protocols
	// without ports.
	Seen netip.AddrPort
	// Took is the time from the first packet to the answer or the verdict.
	Took time.Duration
}

// Probe makes the connection that the flow describes, from the host that owns
// Src to the one that owns Dst, and sees whether it gets through and an answer
// comes back:
//
//   - TCP: a connection, one line and its echo. SrcPort 0 is any port.
//   - UDP: one packet and its echo, likewise.
//   - ICMP and ICMPv6: an echo request, which the kernel of Dst answers; of any
//     other type, one packet, which must arrive.
//   - SCTP: an INIT and its INIT ACK, made by hand: the kernel needs no SCTP.
//   - any other protocol: one packet and its echo, by raw sockets.
//
// Where Dst has no server for that protocol and port yet, Probe starts one.
// A timeout of 0 is DefaultTimeout. Before an absent answer counts as denied,
// Probe makes the same connection inside the destination host, where no policy
// stands in between: only if that is quick was the time enough. A busy
// machine makes probes slower, not wrong. Any number may run at the same time.
func (l *Lab) Probe(ctx context.Context, flow policy.Flow, timeout time.Duration) Outcome {
	from, to, err := l.ends(flow)
	if err == nil {
		err = to.Serve(flow.Protocol, flow.DstPort)
	}
	if err != nil {
		return Outcome{Verdict: Failed, Detail: err.Error()}
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan result, 1)
	start := time.Now()
	go func() {
		r, err := l.exchange(ctx, from, flow)
		answer <- result{r, err}
	}()
	got, err := l.await(ctx, answer, to, flow, timeout)
	took := time.Since(start)
	if err == nil {
		err = got.err
	}
	if err != nil {
		return Outcome{Verdict: verdictOf(err), Detail: detailOf(err), Took: took}
	}
	return Outcome{
		Verdict: Allowed, Server: got.server, Seen: got.seen, Took: took,
		Detail: fmt.Sprintf("answered in %s", took.Round(100*time.Microsecond)),
	}
}

// ends finds the hosts of the flow's source and destination.
func (l *Lab) ends(f policy.Flow) (from, to *Host, err error) {
	if !f.Src.IsValid() || !f.Dst.IsValid() || f.Src.Is4() != f.Dst.Is4() {
		return nil, nil, fmt.Errorf("lab: source %s and destination %s are not of one family", f.Src, f.Dst)
	}
	if from = l.Owner(f.Src); from == nil {
		return nil, nil, fmt.Errorf("lab: no host owns the source %s", f.Src)
	}
	if to = l.Owner(f.Dst); to == nil {
		return nil, nil, fmt.Errorf("lab: no host owns the destination %s", f.Dst)
	}
	return from, to, nil
}
