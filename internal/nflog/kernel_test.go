package nflog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // tests that need a lab skip
	}
	os.Exit(m.Run())
}

const testGroup = 7412

// logOutput writes a table that logs what leaves a network namespace.
func logOutput(t *testing.T, netns string) {
	t.Helper()
	var w nfnl.Writer
	w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, unix.NFPROTO_IPV4)
	w.String(unix.NFTA_TABLE_NAME, "logs")
	w.End()
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, unix.NFPROTO_IPV4)
	w.String(unix.NFTA_CHAIN_TABLE, "logs")
	w.String(unix.NFTA_CHAIN_NAME, "output")
	hook := w.Nest(unix.NFTA_CHAIN_HOOK)
	w.Uint32(unix.NFTA_HOOK_HOOKNUM, 3) // NF_INET_LOCAL_OUT
	w.Uint32(unix.NFTA_HOOK_PRIORITY, 0)
	w.EndNest(hook)
	w.String(unix.NFTA_CHAIN_TYPE, "filter")
	w.End()
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, unix.NFPROTO_IPV4)
	w.String(unix.NFTA_RULE_TABLE, "logs")
	w.String(unix.NFTA_RULE_CHAIN, "output")
	list := w.Nest(unix.NFTA_RULE_EXPRESSIONS)
	elem := w.Nest(unix.NFTA_LIST_ELEM)
	w.String(unix.NFTA_EXPR_NAME, "log")
	data := w.Nest(unix.NFTA_EXPR_DATA)
	w.Uint16(unix.NFTA_LOG_GROUP, testGroup)
	w.String(unix.NFTA_LOG_PREFIX, "a rule")
	w.Uint32(unix.NFTA_LOG_SNAPLEN, 128)
	w.Uint16(unix.NFTA_LOG_QTHRESHOLD, 1)
	w.EndNest(data)
	w.EndNest(elem)
	w.EndNest(list)
	w.End()
	w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
	c, err := nfnl.Dial(netns)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Do(&w, uint32(w.Messages()-1), nil); err != nil {
		t.Fatal(err)
	}
}

// TestReceive has the kernel log a packet, and reads it. A second listener at the group
// is refused, and the end of the context ends the first one.
func TestReceive(t *testing.T) {
	lab.Require(t)
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	netns := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), l.Node().FD())
	log, err := open(netns, testGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	if second, err := open(netns, testGroup); !errors.Is(err, unix.EPERM) {
		t.Errorf("a second listener: %v, %v", second, err)
	}
	logOutput(t, netns)
	if err := nfnl.InNamespace(netns, func() error {
		c, err := net.Dial("udp", "127.0.0.1:4711")
		if err != nil {
			return err
		}
		_, err = c.Write([]byte("hello"))
		return errors.Join(err, c.Close())
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	err = log.Receive(ctx, func(p Packet) {
		if p.Flow.Protocol != policy.UDP {
			return // what answers it
		}
		seen++
		if p.Prefix != "a rule" || p.Flow.DstPort != 4711 || p.Flow.Dst.String() != "127.0.0.1" || p.Output == 0 || p.Input != 0 || p.Length != 33 {
			t.Errorf("got %+v", p)
		}
		cancel()
	}, func() {})
	if !errors.Is(err, context.Canceled) || seen != 1 {
		t.Errorf("ended with %v after %d packets", err, seen)
	}
}
