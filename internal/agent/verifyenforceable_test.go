package agent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/cni/wire"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

func pod(name string) policy.Key {
	return policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: name}
}

// TestVerifyNotEnforceable has pods of all sorts: one with a link, one without, one whose link only the CNI plugin knows, one that is about to
// end, one of another node, a host endpoint.
func TestVerifyNotEnforceable(t *testing.T) {
	lab.Require(t)
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	addr := func(text string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(text)} }
	if _, err := l.AddHost(lab.HostConfig{Name: "web", Addrs: addr("10.0.0.1")}); err != nil {
		t.Fatal(err)
	}
	told, err := l.AddHost(lab.HostConfig{Name: "told", Addrs: addr("10.0.0.2")})
	if err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	dir := wire.RecordsDir(run + "/cni.sock")
	record := wire.Record{Since: time.Now(), Pod: wire.Pod{
		PodID:   wire.PodID{Namespace: "shop", Name: "told", Attachment: wire.Attachment{Container: "c1", Interface: "eth0"}},
		Network: "n", Addrs: addr("10.9.9.2"), HostInterface: told.Interface(),
	}}
	endpoints := []*policy.Endpoint{
		{Key: pod("web"), Node: "here", Addrs: addr("10.0.0.1")},
		{Key: pod("moved"), Node: "here", Addrs: addr("10.9.9.1")},
		{Key: pod("told"), Node: "here", Addrs: addr("10.9.9.2")},
		{Key: pod("ends"), Node: "here", Addrs: addr("10.9.9.3")},
		{Key: pod("far"), Node: "there", Addrs: addr("10.9.9.4")},
		{Key: pod("new"), Node: "here"},
		{Key: policy.Key{Kind: "HostEndpoint", Name: "h"}, Node: "here", Addrs: addr("10.9.9.5"), Host: &policy.Host{}},
	}
	ends := podOf("ends", "u", "here", "10.9.9.3")
	ends.Object.(metav1.Object).SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
	ending := endingPods([]store.Resource{podOf("web", "u", "here", "10.0.0.1"), ends})
	find := func() (findings []enforceable.Finding) {
		t.Helper()
		if err := l.Node().Do(func() (err error) {
			list, err := localEndpoints(&Config{RunDir: run}, endpoints, func(ep *policy.Endpoint) bool { return ep.Node == "here" && !ending[ep.Key] })
			if err != nil {
				return err
			}
			found, err := findLinks(list)
			if err != nil {
				return err
			}
			findings, err = notEnforceable(list, found)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return findings
	}
	gone := enforceable.Reason{Cause: enforceable.NoHostInterface}
	if diff := cmp.Diff([]enforceable.Finding{{Reason: gone, Endpoints: []policy.Key{pod("moved"), pod("told")}}}, find()); diff != "" {
		t.Errorf("without the plugin (-want +got):\n%s", diff)
	}
	if err := dir.Make(); err != nil {
		t.Fatal(err)
	}
	if err := dir.Write(record); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]enforceable.Finding{{Reason: gone, Endpoints: []policy.Key{pod("moved")}}}, find()); diff != "" {
		t.Errorf("with the plugin (-want +got):\n%s", diff)
	}
}
