package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/agent/packetlog"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/store/open"
)

// roleVariable makes this test binary an agent of its own.
const roleVariable = "TIERWALL_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // tests that need a lab skip
	}
	os.Exit(m.Run())
}

// play is the child process: an agent in the network namespace that it was
// started in.
func play(role string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if path := os.Getenv("CPU_PROFILE"); path != "" {
		if f, err := os.Create(path); err == nil && pprof.StartCPUProfile(f) == nil {
			defer pprof.StopCPUProfile()
		}
	}
	source, err := open.Source(os.Getenv("STORE"), open.NewFlags())
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 2
	}
	packets, logging := packetlog.Open(packetlog.DefaultGroup, 0, log)
	changes := &nft.ChangeListener{}
	cfg := Config{
		Source: source, Node: "here", RunDir: os.Getenv("RUN_DIR"), MetricsAddr: "127.0.0.1:9098",
		CheckInterval: time.Hour, Open: OpenKernel(log, logging, testHostSettings(), dataplane.GuardSettings{}, changes), ExternalChanges: changes.Watch, Log: log, Version: "test",
	}
	cfg.Host = testHostSettings()
	cfg.APIServer, _ = netip.ParseAddrPort(os.Getenv("API_SERVER")) // of one test
	links, err := hostlink.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 2
	}
	defer links.Close()
	cfg.Links, cfg.CheckSources, cfg.Inspect = links, true, enforceable.Inspect
	if packets != nil {
		cfg.PacketLog = packets
	}
	cfg.DNS = testDNS()
	switch role {
	case "agent":
		err = Run(ctx, cfg)
	case "remove":
		err = Remove(ctx, cfg)
	case "meddle": // as somebody does by hand, with another program
		runtime.LockOSThread()
		_ = os.WriteFile("/proc/thread-self/comm", []byte("meddler"), 0)
		var dp dataplane.Dataplane
		if dp, err = cfg.Open(); err == nil {
			err = dp.Remove(ctx)
		}
	case "verify":
		r, _, verifyErr := Verify(ctx, cfg, ReadBack, nil)
		if err = verifyErr; err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 2
	}
	return 0
}

// host is a node in a lab, with two pods, on which agents run.
type host struct {
	t       testing.TB
	lab     *lab.Lab
	web, db *lab.Host
	dir     string
	run     string
	client  *http.Client
}
