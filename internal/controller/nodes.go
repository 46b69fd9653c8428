package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tierwall/tierwall/internal/kubeclient"
	"github.com/tierwall/tierwall/internal/lasterror"
	"github.com/tierwall/tierwall/policy"
)

// What is said of nodes: that no agent reports from one (Windows, a virtual node, an agent that does not run), and
// that policy is not in force for endpoints of one, as its agent says. Both are Events about the node. Beside them stand
// other engines that the cluster runs on its nodes (engines.go).

const (
	defaultNodeInterval = 30 * time.Second
	// nodesEvery is at how many looks the list of nodes is read again.
	nodesEvery = 4
	// agentGrace is how long a node may be without a report from its agent.
	agentGrace = 3 * time.Minute
	// maxNodeEvents bounds the Events of one look: what is wrong with all nodes of a large cluster is seen by some.
	maxNodeEvents = 100
)

// Reasons of Events about nodes.
const (
	reasonNoAgent        = "NoPolicyAgent"
	reasonNotEnforceable = "PolicyNotEnforceable"
	reasonStale          = "PolicyStale"
)

// nodes is what is known of the cluster's nodes, and what was said of them.
type nodes struct {
	mu      sync.Mutex
	missing int         // nodes without an agent
	engines []daemonSet // of other engines; written by the goroutine that looks alone

	// Of the goroutine that looks alone.
	list    []clusterNode
	failure lasterror.Error
	written map[string]writtenEvent // by the Event's name
}

func newNodes() *nodes { return &nodes{written: map[string]writtenEvent{}} }

func (n *nodes) withoutAgent() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.missing
}

// clusterNode is a node of the cluster.
type clusterNode struct {
	name    string
	uid     types.UID
	created time.Time
	labels  map[string]string
}

// nodeProblem is what is wrong with a node, or with something that runs on nodes.
type nodeProblem struct {
	about  corev1.ObjectReference
	reason string
	// message tells problems apart, detail is said beside it and may change.
	message, detail string
}

// watchNodes looks at nodes from time to time until the context ends.
func (l *leader) watchNodes(ctx context.Context) error {
	l.repeat(ctx, func(look int) {
		if look%nodesEvery == 0 {
			l.readNodes(ctx)
		}
		l.reportNodes(ctx)
	})
	return nil
}

// repeat does something once the state is there, and then at each interval, until the context
// ends. look counts from 0.
func (l *leader) repeat(ctx context.Context, do func(look int)) {
	select {
	case <-ctx.Done():
		return
	case <-l.ready:
	}
	ticker := time.NewTicker(l.cfg.interval())
	defer ticker.Stop()
	for look := 0; ; look++ {
		do(look)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// readNodes reads the list of nodes. If it cannot be read, the one before stays.
func (l *leader) readNodes(ctx context.Context) {
	list, err := l.client.nodes(ctx)
	if err == nil {
		l.nodes.list = list
	}
	sets, failed := l.client.engines(ctx)
	if failed == nil {
		l.nodes.setEngines(sets)
	}
	if ctx.Err() != nil {
		return
	}
	if _, changed, _ := l.nodes.failure.Set(errors.Join(err, failed)); changed {
		l.log.Warn("nodes without an agent, or other engines, are not said (the controller needs the verb list for nodes and daemonsets)", "error", errors.Join(err, failed))
	}
}

// reference returns how an Event names a node.
func (n clusterNode) reference() corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: policy.KindNode, Name: n.name, UID: n.uid}
}

// reportNodes writes Events about what is wrong with nodes.
func (l *leader) reportNodes(ctx context.Context) {
	now := time.Now()
	l.put(l.state.lookForOverdue(now))
	problems := l.nodeProblems(now)
	current := map[string]bool{}
	said := 0
	for i := range problems {
		p := &problems[i]
		name := p.eventName()
		current[name] = true
		if time.Since(l.nodes.written[name].at) < repeatEvent {
			continue
		}
		if said++; said > maxNodeEvents {
			continue
		}
		if l.limit.Wait(ctx) != nil {
			return
		}
		at := time.Now()
		written, err := l.client.putEvent(ctx, p.event(l.cfg.Identity, at), l.nodes.written[name], at)
		l.metrics.wrote("event", err)
		if err != nil {
			l.log.Warn("an Event cannot be written; it is tried again", "about", p.about.Kind+" "+p.about.Name, "error", err)
			return
		}
		if written.count == 1 {
			l.log.Warn("policy is not in force everywhere", "about", p.about.Kind+" "+p.about.Name, "problem", p.message)
		}
		l.nodes.written[name] = written
	}
	for name := range l.nodes.written {
		if !current[name] {
			delete(l.nodes.written, name)
		}
	}
}

// nodeProblems returns what is wrong with nodes, by name and what it is.
func (l *leader) nodeProblems(now time.Time) []nodeProblem {
	known := map[string]clusterNode{}
	var problems []nodeProblem
	missing := 0
	for _, n := range l.nodes.list {
		known[n.name] = n
		if !l.state.reports(n.name) && now.Sub(n.created) > agentGrace {
			missing++
			problems = append(problems, nodeProblem{about: n.reference(), reason: reasonNoAgent, message: noAgent(n)})
		}
	}
	l.nodes.mu.Lock()
	l.nodes.missing = missing
	l.nodes.mu.Unlock()
	for _, p := range l.state.nodeProblems() {
		p.about.UID = known[p.about.Name].uid
		problems = append(problems, p)
	}
	for _, d := range l.nodes.engines {
		problems = append(problems, d.problem())
	}
	slices.SortFunc(problems, func(a, b nodeProblem) int {
		return strings.Compare(a.about.Kind+" "+a.about.Name+" "+a.message, b.about.Kind+" "+b.about.Name+" "+b.message)
	})
	return problems
}

// noAgent says what it means that no agent reports from a node.
func noAgent(n clusterNode) string {
	switch {
	case n.labels[corev1.LabelOSStable] == "windows":
		return "policy is not in force for pods of this node: there is no agent for Windows; keep pods that need policy off it"
	case n.labels["type"] == "virtual-kubelet" || n.labels["eks.amazonaws.com/compute-type"] == "fargate":
		return "policy is not in force for pods of this node: it is a virtual one, which runs no agent; keep pods that need policy off it"
	}
	return "policy may not be in force for pods of this node: no agent reports from it; is the agent's pod there and ready, and may it run there (tolerations, nodeSelector)?"
}

// eventName returns the Event about a problem: the same for the same, whoever leads.
func (p *nodeProblem) eventName() string {
	h := fnv.New64a()
	for _, text := range []string{p.about.Kind, string(p.about.UID), p.reason, p.message} {
		_, _ = h.Write([]byte(text))
		_, _ = h.Write([]byte{0})
	}
	return shortName(p.about.Name) + "." + strconv.FormatUint(h.Sum64(), 16)
}

// event returns the Event about a problem.
func (p *nodeProblem) event(instance string, at time.Time) *eventsv1.Event {
	namespace := cmp.Or(p.about.Namespace, metav1.NamespaceDefault) // as Kubernetes does with objects of no namespace
	return &eventsv1.Event{
		TypeMeta:            metav1.TypeMeta{APIVersion: "events.k8s.io/v1", Kind: "Event"},
		ObjectMeta:          metav1.ObjectMeta{Name: p.eventName(), Namespace: namespace},
		EventTime:           metav1.NewMicroTime(at),
		ReportingController: eventSource,
		ReportingInstance:   shorten(instance, 128),
		Action:              "Enforce",
		Reason:              p.reason,
		Type:                corev1.EventTypeWarning,
		Note:                shorten(p.message+p.detail, maxNote),
		Regarding:           p.about,
	}
}

// nodes lists the cluster's nodes.
func (c *client) nodes(ctx context.Context) ([]clusterNode, error) {
	list, err := c.metadata(ctx, "api", "v1", "nodes")
	if err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	out := make([]clusterNode, 0, len(list))
	for i := range list {
		n := &list[i]
		labels := map[string]string{}
		for _, name := range []string{corev1.LabelOSStable, "type", "eks.amazonaws.com/compute-type"} {
			if v, found := n.Labels[name]; found {
				labels[name] = v
			}
		}
		out = append(out, clusterNode{n.Name, n.UID, n.CreationTimestamp.Time, labels})
	}
	return out, nil
}

// metadata lists objects with their metadata only, as the API server has them at hand.
func (c *client) metadata(ctx context.Context, path ...string) ([]metav1.PartialObjectMetadata, error) {
	text, err := read(ctx, c.rest.Get().AbsPath(path...).Param("resourceVersion", "0").
		SetHeader("Accept", kubeclient.JSON+";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"+kubeclient.JSON))
	if err != nil {
		return nil, err
	}
	var list metav1.PartialObjectMetadataList
	err = json.Unmarshal(text, &list)
	return list.Items, err
}

// reports reports whether the agent of a node does.
func (s *state) reports(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rollups.nodes[node] != nil
}

// nodeProblems returns for which endpoints policy is not in force, as agents say.
func (s *state) nodeProblems() []nodeProblem {
	s.mu.Lock()
	defer s.mu.Unlock()
	var problems []nodeProblem
	for name, n := range s.rollups.nodes {
		if n.overdue {
			problems = append(problems, nodeProblem{
				about: clusterNode{name: name}.reference(), reason: reasonStale,
				message: "policy of this node may be out of date: its agent does not renew its NodePolicyReport; is the agent's pod there and ready, and does it reach the API server? What it read last stays in force",
				detail:  " (the last report was seen " + n.seen.UTC().Format(time.RFC3339) + ")",
			})
		}
		for _, r := range n.notEnforceable {
			p := nodeProblem{about: clusterNode{name: name}.reference(), reason: reasonNotEnforceable, message: "policy is not in force: " + r.Message}
			p.detail = fmt.Sprintf(" (%s: %s)", count(int(r.Endpoints), "endpoint"), strings.Join(r.Names[:min(len(r.Names), maxNamed)], ", "))
			problems = append(problems, p)
		}
	}
	return problems
}

// maxNamed is how many endpoints an Event names.
const maxNamed = 5

// maxReasons bounds the reasons that are told apart: agents say them.
const maxReasons = 32

// overdue counts nodes whose agents do not renew their reports.
func (s *state) overdue() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rollups.overdue
}

// notEnforceable counts endpoints for which policy is not in force, by reason.
func (s *state) notEnforceable() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sums := map[string]int{}
	for _, n := range s.rollups.nodes {
		for _, r := range n.notEnforceable {
			reason := r.Reason
			if _, found := sums[reason]; !found && len(sums) >= maxReasons {
				reason = "other"
			}
			sums[reason] += int(max(0, r.Endpoints))
		}
	}
	return sums
}
