package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/cni/wire"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// localEndpoints are those of this node that are asked for, as interfaces are found for them.
func localEndpoints(cfg *Config, endpoints []*policy.Endpoint, asked func(*policy.Endpoint) bool) ([]hostlink.Endpoint, error) {
	told, err := toldByPlugin(runDir(cfg.RunDir))
	if err != nil {
		return nil, err
	}
	var list []hostlink.Endpoint
	for _, ep := range endpoints {
		if ep.Host != nil || len(ep.Addrs) == 0 || !asked(ep) {
			continue
		}
		e := hostlink.Endpoint{Key: ep.Key, Addrs: ep.Addrs, Interface: ep.Interface}
		if r, found := told[ep.Key]; found && r.HostInterface != "" {
			e.Interface, e.Index = r.HostInterface, r.HostIndex
			e.MAC, _ = net.ParseMAC(r.MAC)
		}
		list = append(list, e)
	}
	return list, nil
}

// findLinks looks for the interfaces of endpoints on this host.
func findLinks(list []hostlink.Endpoint) (found hostlink.Result, err error) {
	finder, err := hostlink.Open()
	if err != nil {
		return found, err
	}
	defer finder.Close()
	return finder.Find(list)
}

// notEnforceable says for which of the endpoints policy is not in force although the kernel holds it: as
// the agent does, but that a pod to which no interface leads counts at once.
func notEnforceable(list []hostlink.Endpoint, links hostlink.Result) ([]enforceable.Finding, error) {
	programs, err := enforceable.Inspect()
	if err != nil {
		return nil, err
	}
	keys := make([]policy.Key, 0, len(list))
	for _, e := range list {
		keys = append(keys, e.Key)
	}
	slices.SortFunc(keys, policy.Key.Compare)
	return enforceable.Judge(enforceable.Host{Links: links, Programs: programs}, keys), nil
}

// toldByPlugin returns what the CNI plugin told of pods, which the agent keeps beside its socket.
func toldByPlugin(run string) (map[policy.Key]wire.Record, error) {
	records, _, err := wire.RecordsDir(filepath.Join(run, filepath.Base(wire.DefaultSocket))).Read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // there is no plugin
	}
	if err != nil {
		return nil, fmt.Errorf("what the CNI plugin told: %w", err)
	}
	told := make(map[policy.Key]wire.Record, len(records))
	for _, r := range records {
		told[policy.Key{Kind: policy.KindPod, Namespace: r.Namespace, Name: r.Name}] = r
	}
	return told, nil
}

// endingPods returns the pods that are about to end: their interfaces may be gone already.
func endingPods(resources []store.Resource) map[policy.Key]bool {
	ending := map[policy.Key]bool{}
	for i := range resources {
		if pod, ok := resources[i].Object.(*corev1.Pod); ok && pod.DeletionTimestamp != nil {
			ending[resources[i].Key] = true
		}
	}
	return ending
}
