package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

func encoded(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestChain runs real chains of plugins: the pod is held up, what the agent is told is so,
// and the result is the one of the plugins before.
func TestChain(t *testing.T) {
	for _, tt := range []struct{ main, version string }{
		{"ptp", "0.3.1"}, {"ptp", "0.4.0"}, {"ptp", "1.0.0"}, {"bridge", "0.3.1"}, {"bridge", "1.0.0"}, {"fixed", "1.1.0"},
	} {
		t.Run(tt.main+" "+tt.version, func(t *testing.T) {
			n := newRuntimeNode(t)
			k := newTables(false)
			n.startAgent(t, k)
			list := n.list(tt.version, tt.main, n.ours(""))
			s := n.newSandbox("c1", "a")
			type outcome struct {
				result *types100.Result
				err    error
			}
			done := make(chan outcome)
			go func() {
				r, err := n.add(t.Context(), list, s)
				done <- outcome{r, err}
			}()
			id := PodID{Namespace: "web", Name: "a", UID: "uid-a", Attachment: wire.Attachment{Container: "c1", Interface: "eth0"}}
			k.waitBegun(id)
			select {
			case o := <-done:
				t.Fatalf("the pod was not held up: %v", o.err)
			default:
			}
			k.mu.Lock()
			pod := k.told[id]
			k.mu.Unlock()
			k.release(id)
			o := <-done
			if o.err != nil {
				t.Fatal(o.err)
			}
			var addrs []netip.Addr
			for _, ip := range o.result.IPs {
				a, _ := netip.AddrFromSlice(ip.Address.IP)
				addrs = append(addrs, a.Unmap())
			}
			if diff := cmp.Diff(fmt.Sprint(addrs), fmt.Sprint(pod.Addrs)); diff != "" || tt.main != "fixed" && len(addrs) != 2 {
				t.Errorf("addresses: -result +told:\n%s", diff)
			}
			if pod.Network != "net-"+tt.main || pod.NetNS != s.NetNS {
				t.Errorf("%+v", pod)
			}
			if links := n.links(); tt.main == "fixed" && pod.HostInterface != "" || tt.main != "fixed" && (len(links) != 1 || pod.HostInterface != links[0] || pod.HostIndex == 0) {
				t.Errorf("the host's interface is said to be %q, number %d; there are %v", pod.HostInterface, pod.HostIndex, links)
			}
			for _, i := range o.result.Interfaces {
				if i.Sandbox != "" && i.Mac != pod.MAC {
					t.Errorf("the pod's MAC is said to be %q, and is %q", pod.MAC, i.Mac)
				}
			}
			n.want(t, k, "web/a c1")
			err := n.node.Do(func() error { return n.cni.CheckNetworkList(t.Context(), list, s.RuntimeConf) })
			if (err != nil) != (tt.version == "0.3.1") { // which has no CHECK
				t.Errorf("CHECK: %v", err)
			}
			if tt.version == "1.1.0" {
				checkNewest(t, n, k, list, s)
			}
			for range 2 {
				if err := n.del(t.Context(), list, s); err != nil {
					t.Error(err)
				}
			}
			n.want(t, k)
			if left := n.links(); len(left) != 0 {
				t.Errorf("links stay: %v", left)
			}
		})
	}
}

// checkNewest tries the commands that came with CNI 1.1.0.
func checkNewest(t *testing.T, n *runtimeNode, k *tables, list *libcni.NetworkConfigList, s sandbox) {
	t.Helper()
	if err := n.cni.GetStatusNetworkList(t.Context(), list); err != nil {
		t.Errorf("STATUS: %v", err)
	}
	valid := []types.GCAttachment{{ContainerID: s.ContainerID, IfName: s.IfName}}
	for _, want := range [][]string{{"web/a c1"}, {}} {
		if err := n.node.Do(func() error { return n.cni.GCNetworkList(t.Context(), list, &libcni.GCArgs{ValidAttachments: valid}) }); err != nil {
			t.Errorf("GC: %v", err)
		}
		n.want(t, k, want...)
		valid = nil
	}
}

// TestChainResult holds that the plugin changes nothing of the result.
func TestChainResult(t *testing.T) {
	n := newRuntimeNode(t)
	n.startAgent(t, newTables(true))
	results := map[string]string{}
	for _, ours := range []string{"", n.ours("")} {
		list := n.list("1.0.0", "ptp", ours)
		s := n.newSandbox("c1", "a")
		r, err := n.add(t.Context(), list, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range r.Interfaces { // random
			i.Name, i.Mac, i.Sandbox = "", "", ""
		}
		for _, ip := range r.IPs { // the next ones, in turn
			ip.Address.IP = nil
		}
		results[ours] = encoded(t, r)
		if err := n.del(t.Context(), list, s); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(results[""], results[n.ours("")]); diff != "" {
		t.Errorf("-without +with:\n%s", diff)
	}
}

// TestChainFails holds what stays of a pod that cannot start: nothing.
func TestChainFails(t *testing.T) {
	n := newRuntimeNode(t)
	k := newTables(false)
	n.startAgent(t, k)
	list := n.list("1.0.0", "ptp", n.ours(`, "timeout": "1s"`))
	s := n.newSandbox("c1", "a")
	_, err := n.add(t.Context(), list, s)
	failed, ok := errors.AsType[*types.Error](err)
	if !ok || failed.Code != types.ErrTryAgainLater || !strings.Contains(failed.Msg, "policy of pod web/a is not in force yet") || !strings.Contains(failed.Details, errNotReady.Error()) {
		t.Errorf("%#v", err)
	}
	n.want(t, k)
	if err := n.del(t.Context(), list, s); err != nil {
		t.Error(err)
	}
	if left := n.links(); len(left) != 0 {
		t.Errorf("links stay: %v", left)
	}
	t.Run("the runtime gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			k.waitBegun(PodID{Namespace: "web", Name: "b", UID: "uid-b", Attachment: wire.Attachment{Container: "c2", Interface: "eth0"}})
			cancel()
		}()
		list := n.list("1.0.0", "ptp", n.ours(""))
		s := n.newSandbox("c2", "b")
		if _, err := n.add(ctx, list, s); err == nil {
			t.Error("it was added")
		}
		if err := n.del(t.Context(), list, s); err != nil { // its turn comes after the ADD's
			t.Error(err)
		}
		n.want(t, k)
	})
	t.Run("the agent goes and never comes back", func(t *testing.T) {
		list := n.list("1.0.0", "ptp", n.ours(`, "timeout": "2s"`))
		s := n.newSandbox("c3", "c")
		go func() {
			k.waitBegun(PodID{Namespace: "web", Name: "c", UID: "uid-c", Attachment: wire.Attachment{Container: "c3", Interface: "eth0"}})
			n.stop()
		}()
		_, err := n.add(t.Context(), list, s)
		failed, ok := errors.AsType[*types.Error](err)
		if !ok || failed.Code != types.ErrTryAgainLater || !strings.Contains(failed.Msg, "no agent answers") {
			t.Errorf("%#v", err)
		}
		if err := n.del(t.Context(), list, s); err != nil {
			t.Error(err)
		}
	})
	t.Run("the agent comes while the pod waits", func(t *testing.T) {
		list := n.list("1.0.0", "ptp", n.ours(""))
		s := n.newSandbox("c4", "d")
		done := make(chan error)
		go func() {
			_, err := n.add(t.Context(), list, s)
			done <- err
		}()
		k := newTables(true)
		n.startAgent(t, k)
		if err := <-done; err != nil {
			t.Error(err)
		}
		n.want(t, k, "web/d c4")
	})
}

// TestChainAtOnce starts and ends as many pods as a node takes at once.
func TestChainAtOnce(t *testing.T) {
	const pods = 110
	n := newRuntimeNode(t)
	k := newTables(true)
	n.startAgent(t, k)
	list := n.list("1.0.0", "ptp", n.ours(`, "timeout": "1m50s"`))
	var work sync.WaitGroup
	sandboxes, want := make([]sandbox, pods), make([]string, pods)
	for i := range pods {
		name, container := fmt.Sprintf("p%d", i), fmt.Sprintf("c%d", i)
		sandboxes[i], want[i] = n.newSandbox(container, name), "web/"+name+" "+container
	}
	for i := range pods {
		work.Go(func() {
			if _, err := n.add(t.Context(), list, sandboxes[i]); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	n.want(t, k, want...)
	for _, r := range n.Records() {
		if r.HostIndex == 0 || len(r.Addrs) != 2 {
			t.Errorf("%+v", r)
		}
	}
	n.pods.sweep(t.Context())
	n.want(t, k, want...)
	// One pod's network goes without a word.
	if err := n.node.Do(func() error {
		link, err := netlink.LinkByIndex(n.Records()[0].HostIndex)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	}); err != nil {
		t.Fatal(err)
	}
	gone := n.records()[0]
	n.pods.sweep(t.Context())
	n.want(t, k, slices.DeleteFunc(slices.Clone(want), func(w string) bool { return w == gone })...)
	for i := range pods {
		work.Go(func() {
			if err := n.del(t.Context(), list, sandboxes[i]); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	n.want(t, k)
}
