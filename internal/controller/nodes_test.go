package controller

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tierwall/tierwall/api/v1alpha1"
)

// reasons returns so many, with an endpoint each.
func reasons(n int) (list []v1alpha1.NotEnforceable) {
	for i := range n {
		list = append(list, v1alpha1.NotEnforceable{Reason: fmt.Sprintf("R%d", i), Message: fmt.Sprintf("message %d", i), Endpoints: 1})
	}
	return list
}

// blindReport is a report of a node where a policy is in force on some endpoints and not on others.
func blindReport(node, message string, names ...any) object {
	o := reportObject(node, "policy is not in force for 2 of 10 endpoints; "+message, object{
		"kind": "GlobalNetworkPolicy", "name": "web", "generation": 1, "endpoints": 8, "notEnforceable": 2,
	})
	report := o["report"].(object)
	report["notEnforceableEndpoints"] = 2
	report["notEnforceable"] = []object{{"reason": "BridgeBypass", "message": message, "endpoints": 2, "names": names}}
	return o
}

// TestNodes: of each node that policy is not in force on there is an Event, once for each reason.
func TestNodes(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	old := time.Now().Add(-time.Hour)
	f.putNode("fine", old, object{"kubernetes.io/os": "linux"})
	f.putNode("blind", old, object{"kubernetes.io/os": "linux"})
	f.putNode("away", old, object{"kubernetes.io/os": "linux"})
	f.putNode("new", time.Now(), object{"kubernetes.io/os": "linux"})
	f.putNode("win", old, object{"kubernetes.io/os": "windows"})
	f.putNode("virtual", old, object{"kubernetes.io/os": "linux", "type": "virtual-kubelet"})
	f.put(gnpPath+"web", policyObject("web", object{"selector": "all()"}))
	f.put(reportPath+"fine", reportObject("fine", "", inForceObject("web", 1, 3)))
	f.put(reportPath+"blind", blindReport("blind", "packets on bridge cni0 bypass policy: load br_netfilter", "shop/db", "shop/web"))
	f.daemonSets = []object{
		{"metadata": object{"namespace": "kube-system", "name": "calico-node", "uid": "uid-of-calico"}},
		{"metadata": object{"namespace": "kube-system", "name": "kube-proxy", "uid": "uid-of-proxy"}},
	}
	start(t, f, func(cfg *Config) { cfg.nodeInterval = 10 * time.Millisecond })
	has := func(node string, texts ...string) func(f *fakeAPI) bool {
		return func(f *fakeAPI) bool {
			events := strings.Join(f.events("Node", node), "\n")
			for _, text := range texts {
				if !strings.Contains(events, text) {
					return false
				}
			}
			return len(texts) == len(f.events("Node", node))
		}
	}
	f.wait(t, "the node whose bridge bypasses", has("blind", "policy is not in force: packets on bridge cni0 bypass policy: load br_netfilter (2 endpoints: shop/db, shop/web)"))
	f.wait(t, "the node without an agent", has("away", "no agent reports from it"))
	f.wait(t, "a Windows node", has("win", "there is no agent for Windows"))
	f.wait(t, "a virtual node", has("virtual", "it is a virtual one"))
	f.wait(t, "another engine", func(f *fakeAPI) bool {
		notes := f.events("DaemonSet", "calico-node")
		return len(notes) == 1 && strings.Contains(notes[0], "Calico enforces policy in this cluster, too")
	})
	f.wait(t, "the policy's status", func(f *fakeAPI) bool {
		return f.condition(gnpPath+"web", "Programmed") == "False NotEnforceable" && f.number(gnpPath+"web", "endpoints") == 11
	})
	// What is said already is not said again, and what is new is.
	f.put(reportPath+"blind", blindReport("blind", "kube-proxy is in IPVS mode", "shop/db"))
	f.wait(t, "another reason", has("blind", "bypass policy", "kube-proxy is in IPVS mode (2 endpoints: shop/db)"))
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, node := range []string{"fine", "new"} {
		if got := f.events("Node", node); len(got) > 0 {
			t.Errorf("of node %s it is said: %q", node, got)
		}
	}
	posts := 0
	for _, w := range f.writes {
		if strings.HasPrefix(w, "POST ") && strings.HasSuffix(w, "/events") {
			posts++
		}
	}
	if posts != 6 {
		t.Errorf("%d Events were written:\n%s", posts, strings.Join(f.writes, "\n"))
	}
}

// TestNodesCannotBeListed: a controller with older rights does its other work, and says so.
func TestNodesCannotBeListed(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.fail = func(_, path string) int {
		if path == nodesPath || path == daemonSetsPath {
			return http.StatusForbidden
		}
		return 0
	}
	f.put(gnpPath+"web", policyObject("web", object{"selector": "all()"}))
	f.put(reportPath+"n1", blindReport("n1", "kube-proxy is in IPVS mode"))
	start(t, f, func(cfg *Config) { cfg.nodeInterval = 10 * time.Millisecond })
	f.wait(t, "its report is said", func(f *fakeAPI) bool { return len(f.events("Node", "n1")) == 1 })
}

// TestNodeMetrics counts nodes without agents, and endpoints by the reasons that agents give.
func TestNodeMetrics(t *testing.T) {
	t.Parallel()
	l := &leader{state: newState(), queue: newQueue(), nodes: newNodes()}
	l.nodes.list = []clusterNode{{name: "a"}, {name: "b", created: time.Now()}}
	l.state.rollups.nodes["c"] = &node{notEnforceable: reasons(40)}
	l.nodes.setEngines([]daemonSet{{"kube-system", "canal", "u1"}, {"calico-system", "calico-node", "u2"}})
	problems := l.nodeProblems(time.Now())
	if len(problems) != 43 {
		t.Errorf("%d problems", len(problems))
	}
	c := &controller{leader: l}
	c.metrics = newMetrics(c)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(c.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text, _ := io.ReadAll(w.Body)
	for _, want := range []string{
		"tierwall_controller_nodes_without_agent 1", `tierwall_controller_other_engines{engine="Calico"} 1`, `tierwall_controller_endpoints_not_enforceable{reason="R0"} 1`,
		`tierwall_controller_endpoints_not_enforceable{reason="other"} 8`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s", want)
		}
	}
}
