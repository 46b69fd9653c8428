package extauthz

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/tierwall/tierwall/policy"
)

// BenchmarkServeAlone is what the server costs: it runs as a process of its own on
// a processor of its own, and is asked from another one by a client that does next
// to nothing. TIERWALL_TEST_CPUPROFILE names a file for its profile.
func BenchmarkServeAlone(b *testing.B) {
	s, asks := benchState()
	s.Ready()
	var raws [][]byte
	var right []bool
	for _, r := range asks {
		raw, err := proto.Marshal(r)
		if err != nil {
			b.Fatal(err)
		}
		res, err := s.Decide(asked(b, r))
		raws, right = append(raws, raw), append(right, err == nil && res.Verdict == policy.Allow)
	}
	server := startAlone(b)
	for _, c := range []struct {
		name            string
		conns, inFlight int
		perSecond       float64
	}{
		{name: "flat out, 4 connections of 64 at once", conns: 4, inFlight: 64},
		{name: "flat out, 4 connections of 8 at once", conns: 4, inFlight: 8},
		{name: "flat out, 1 connection of 64 at once", conns: 1, inFlight: 64},
		{name: "one at a time", conns: 1, inFlight: 1},
		{name: "5,000 a second", conns: 4, perSecond: 5_000},
		{name: "20,000 a second", conns: 4, perSecond: 20_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			l, err := newLoader(server.path, c.conns, raws, right)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.close() }()
			if err := l.flatOut(len(raws), 1); err != nil { // all is known after that
				b.Fatal(err)
			}
			l.took = slices.Grow(l.took[:0], b.N)
			defer debug.SetGCPercent(debug.SetGCPercent(-1)) // of the client
			before := server.usage(b)
			b.ResetTimer()
			if c.perSecond > 0 {
				err = l.paced(b.N, c.perSecond)
			} else {
				err = l.flatOut(b.N, c.inFlight)
			}
			b.StopTimer()
			if err != nil {
				b.Fatal(err)
			}
			after := server.usage(b)
			slices.Sort(l.took)
			of := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(b.N) }
			cpu := after.user - before.user + after.system - before.system
			b.ReportMetric(of(after.user-before.user), "user-us/op")
			b.ReportMetric(of(after.system-before.system), "system-us/op")
			b.ReportMetric(float64(b.N)/cpu.Seconds(), "decisions/cpu-s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
			b.ReportMetric(float64(after.mallocs-before.mallocs)/float64(b.N), "allocs-server/op")
			b.ReportMetric(float64(l.disturbed)/float64(b.N), "disturbed")
			for name, share := range map[string]int{"p50-us": 500, "p99-us": 990, "p999-us": 999} {
				if n := len(l.took); n > 0 {
					b.ReportMetric(float64(l.took[n*share/1000].Nanoseconds())/1000, name)
				}
			}
		})
	}
}

// aloneEnv names the socket at which this binary is a server and nothing else.
const aloneEnv = "TIERWALL_TEST_EXT_AUTHZ"

// beServer is the other role of this binary, from which it does not return.
func beServer() {
	path := os.Getenv(aloneEnv)
	if path == "" {
		return
	}
	if err := serveAlone(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveAlone says what the process has used so far at the beginning and for each
// line of its input; at its end it stops.
func serveAlone(path string) error {
	state, _ := benchState()
	s, err := Listen(Config{Address: "unix:" + path, Group: -1}, state, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	s.Ready()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	if name := os.Getenv("TIERWALL_TEST_CPUPROFILE"); name != "" {
		f, err := os.Create(name) //nolint:gosec // the tester's own file
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for lines, more := bufio.NewScanner(os.Stdin), true; more; more = lines.Scan() {
		var u unix.Rusage
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			return err
		}
		fmt.Println(u.Utime.Nano(), u.Stime.Nano(), m.Mallocs)
	}
	stop()
	return <-ended
}

// alone is such a server.
type alone struct {
	path string
	in   io.WriteCloser
	out  *bufio.Reader
}

type usage struct {
	user, system time.Duration
	mallocs      uint64
}

// startAlone starts a server on one processor and keeps this process off it.
func startAlone(b *testing.B) *alone {
	b.Helper()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil || all.Count() < 2 {
		b.Skipf("SKIPPED: it needs two processors that may be chosen, and has %d: %v", all.Count(), err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	var theirs, ours unix.CPUSet
	for cpu := len(all)*64 - 1; cpu >= 0; cpu-- {
		switch {
		case !all.IsSet(cpu):
		case theirs.Count() == 0:
			theirs.Set(cpu)
		default:
			ours.Set(cpu)
		}
	}
	a := &alone{path: filepath.Join(b.TempDir(), "authz.sock")}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), aloneEnv+"="+a.path, "GOMAXPROCS=1"), os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if a.in, err = cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	a.out = bufio.NewReader(stdout)
	// A child has the processors of the thread that starts it.
	pin(b, &theirs)
	err = cmd.Start()
	pin(b, &ours)
	if err != nil {
		b.Fatal(err)
	}
	before := runtime.GOMAXPROCS(1)
	b.Cleanup(func() {
		runtime.GOMAXPROCS(before)
		pin(b, &all)
		if err := errors.Join(a.in.Close(), cmd.Wait()); err != nil {
			b.Error(err)
		}
	})
	a.read(b)
	return a
}

// pin keeps all threads of this process on processors.
func pin(b *testing.B, on *unix.CPUSet) {
	b.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		b.Skip("SKIPPED: ", err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			b.Fatal(err)
		}
		if err := unix.SchedSetaffinity(id, on); err != nil && !errors.Is(err, unix.ESRCH) {
			b.Skip("SKIPPED: a thread cannot be given a processor: ", err)
		}
	}
}

// usage asks what the server has used so far.
func (a *alone) usage(b *testing.B) usage {
	b.Helper()
	if _, err := io.WriteString(a.in, "\n"); err != nil {
		b.Fatal(err)
	}
	return a.read(b)
}

func (a *alone) read(b *testing.B) (u usage) {
	b.Helper()
	if _, err := fmt.Fscanln(a.out, &u.user, &u.system, &u.mallocs); err != nil {
		b.Fatal(err)
	}
	return u
}
