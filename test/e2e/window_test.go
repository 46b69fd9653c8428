package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// measuredPods in the environment is how many pods the figures of these tests are about. Fewer are enough to see that the
// tests work.
const measuredPods = "TIERWALL_E2E_PODS"

func howMany(t *testing.T, usual int) int {
	t.Helper()
	return number(t, measuredPods, usual)
}

// number is that of a variable in the environment, or the usual one.
func number(t *testing.T, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

// load is how busy the machine is.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return strings.TrimSpace(string(text))
}

// pluginArgs are the agent's arguments that put the CNI plugin into place.
var pluginArgs = regexp.MustCompile(`(?m)^ *- --cni-.*\n`)

// TestWithoutPlugin is TestBurst where nothing holds pods up: then there is a window, and what gets through in it is seen. It
// says how long the window is: from the first packet that reaches a pod's kernel until the last one that policy denies it.
func TestWithoutPlugin(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Nodes: 2})
	stage.InstallEdited(t, c, stage.Dev, func(manifest string) string {
		if !pluginArgs.MatchString(manifest) {
			t.Fatal("deploy/install.yaml has no arguments of the plugin")
		}
		return pluginArgs.ReplaceAllString(manifest, "")
	})
	s := newTheatre(t, c)
	leaks := burst(t, s, 2*earlyPods, func() {
		eventually(t, "a packet that gets through because nothing holds the pod up", func() error {
			if len(s.closed.SeenAll()) == 0 {
				return errors.New("none has, and TestBurst would see none if there were one")
			}
			return nil
		})
	})
	if len(leaks) == 0 {
		t.Error("nothing got through without the plugin: TestBurst would not see it if something did with it")
	}
	t.Logf("seen: %s", strings.Join(leaks, "; "))

	adds := recordAdds(t, c.Node(1))
	var window, first []time.Duration
	oneByOne(t, c, func(p *stage.Pod, _, denied *stage.Pinger) {
		if e, ok := denied.Of(p.Addr); ok {
			window = append(window, e.Last.Sub(e.First))
			first = append(first, e.First.Sub(adds()[p.Name]))
		}
	})
	t.Logf("from the first packet to the end of the window: %s", percentiles(window))
	t.Logf("from ADD to the first packet: %s", percentiles(first))
}

// TestFirstPacket has pods start one after the other. As tierwall is shipped, the kernel of a pod in which nothing runs yet answers
// anyone from when the pod has its link until the plugin has called the agent: it says how long that is. With --deny-unknown-pods not
// one packet gets through that policy does not allow, and it says how long the first takes that it does.
func TestFirstPacket(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Nodes: 2})
	adds := recordAdds(t, c.Node(1))
	t.Run("shipped", func(t *testing.T) {
		stage.InstallEdited(t, c, stage.Dev, func(manifest string) string { return manifest })
		var took []time.Duration
		oneByOne(t, c, func(p *stage.Pod, _, denied *stage.Pinger) {
			if e, ok := denied.Of(p.Addr); ok {
				took = append(took, e.Last.Sub(adds()[p.Name]))
			}
		})
		t.Logf("from ADD to the last packet that policy does not allow: %s", percentiles(took))
	})
	t.Run("deny unknown", func(t *testing.T) {
		const last = "        - --log-format=json\n"
		stage.InstallEdited(t, c, stage.Dev, func(manifest string) string {
			if !strings.Contains(manifest, last) {
				t.Fatalf("deploy/install.yaml has no argument %q", last)
			}
			return strings.Replace(manifest, last, last+"        - --deny-unknown-pods\n", 1)
		})
		var took []time.Duration
		oneByOne(t, c, func(p *stage.Pod, allowed, denied *stage.Pinger) {
			e, _ := allowed.Of(p.Addr)
			took = append(took, e.First.Sub(adds()[p.Name]))
			if _, ok := denied.Of(p.Addr); ok {
				t.Errorf("%s was reached by a stranger", p.Addr)
			}
		})
		t.Logf("from ADD to the first packet that policy allows: %s", percentiles(took))
	})
}

// oneByOne makes pods that clients may reach and strangers may not, each when the one before runs and the one
// has been reached. Both have asked for it all the time.
func oneByOne(t *testing.T, c *cluster.Cluster, then func(p *stage.Pod, allowed, denied *stage.Pinger)) {
	t.Helper()
	s := newTheatre(t, c)
	s.Apply(`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: late}
spec:
  podSelector: {matchLabels: {eager: "yes"}}
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]
`)
	blackhole(t, c.Node(1))
	last := later(s.server.Addr, s.strangers[0].Addr)
	for i := range howMany(t, 5) {
		next := following(c.Node(1), last, 8)
		allowed := stage.Ping(t, s.client, next, time.Millisecond)
		denied := stage.Ping(t, s.strangers[1], next, time.Millisecond)
		p := s.NewPod(stage.PodSpec{Name: fmt.Sprintf("%s-%d", strings.ToLower(s.Name), i), Node: 1, Labels: map[string]string{"eager": "yes"}})
		allowed.Await(t, p.Addr)
		denied.AwaitSilence(t, p.Addr)
		allowed.Stop()
		denied.Stop()
		then(p, allowed, denied)
		last = p.Addr
	}
}

// later is the address that was given later, if both were given just now.
func later(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}

// following are the addresses that a node's next pods get: they are given in turn.
func following(n *cluster.Node, last netip.Addr, count int) (list []netip.Addr) {
	net := n.PodNets()[0]
	for len(list) < count {
		if last = last.Next(); !net.Contains(last.Next()) { // the last one is that of the broadcast
			last = net.Addr().Next().Next()
		}
		list = append(list, last)
	}
	return list
}

// blackhole has a node drop what is for pods that are not there. Without it such packets go back and forth between
// the node and its gateway until they are too old, which keeps this machine busy.
func blackhole(t *testing.T, n *cluster.Node) {
	t.Helper()
	route := []string{"route", "add", "blackhole", n.PodNets()[0].String()}
	_, err := n.Run(t.Context(), "ip", route...)
	must(t, err)
	t.Cleanup(func() {
		route[1] = "del"
		_, err := n.Run(context.Background(), "ip", route...)
		must(t, err)
	})
}

// recordAdds has the first plugin of a node's chain note when it is called; the function that it gives reads the notes, by pods' names.
func recordAdds(t *testing.T, n *cluster.Node) func() map[string]time.Time {
	t.Helper()
	plugin, notes := filepath.Join(n.CNIBinDir(), "ptp"), filepath.Join(n.CNIBinDir(), "adds")
	must(t, os.Rename(plugin, plugin+"-real"))
	t.Cleanup(func() {
		must(t, os.Rename(plugin+"-real", plugin))
		_ = os.Remove(notes)
	})
	must(t, os.WriteFile(plugin, []byte(`#!/bin/sh
[ "$CNI_COMMAND" != ADD ] || echo "$(date +%s%N) $CNI_ARGS" >>/opt/cni/bin/adds
exec /opt/cni/bin/ptp-real
`), 0o755))
	return func() map[string]time.Time {
		text, err := os.ReadFile(notes)
		must(t, err)
		out := map[string]time.Time{}
		for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
			at, args, _ := strings.Cut(line, " ")
			nanoseconds, err := strconv.ParseInt(at, 10, 64)
			must(t, err)
			_, name, _ := strings.Cut(args, "K8S_POD_NAME=")
			name, _, _ = strings.Cut(name, ";")
			out[name] = time.Unix(0, nanoseconds)
		}
		return out
	}
}

// percentiles sums up what took how long.
func percentiles(list []time.Duration) string {
	if len(list) == 0 {
		return "none"
	}
	slices.Sort(list)
	at := func(p int) time.Duration {
		return list[(len(list)-1)*p/100].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d pods, p50 %s, p99 %s, longest %s; load %s", len(list), at(50), at(99), at(100), load())
}
