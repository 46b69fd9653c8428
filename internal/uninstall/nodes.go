// Package uninstall takes tierwall off the nodes of a cluster, in two ways.
//
// Nodes does it before anything is deleted, and knows in the end that every node
// is clean: it turns the DaemonSet of the agents into one that removes. That is
// what "tierwall uninstall" and the hook of the Helm chart do.
//
// A Witness does it where someone just deletes the whole installation: an agent
// that is told to end asks it whether that is so. An agent that ends for any
// other reason leaves its rules in force, so in doubt the answer is no.
package uninstall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// Where the manifests put the agents.
const (
	Namespace = "tierwall-system"
	DaemonSet = "tierwall-agent"
	container = "agent"
)

// Command is the subcommand that a node's pod runs to remove and then to wait:
// "tierwall uninstall --hold ADDRESS:PORT -- agent ... --remove".
const Command = "uninstall"

// Options says what is to be cleaned.
type Options struct {
	Namespace string        // of the DaemonSet; "": tierwall-system
	DaemonSet string        // its name; "": tierwall-agent
	Timeout   time.Duration // how long the nodes may take in all; 0: no limit
	Poll      time.Duration // between two looks; 0: a second
	// Progress is called when the number of clean nodes has changed; may be nil.
	Progress func(clean, nodes int)
}

// NotClean is the error of nodes that could not be cleaned in time.
type NotClean struct {
	Nodes []string // "NODE: why", sorted
	Total int      // all nodes that have or should have an agent
}

func (e *NotClean) Error() string {
	return fmt.Sprintf("%d of %d nodes could not be cleaned:\n  %s", len(e.Nodes), e.Total, strings.Join(e.Nodes, "\n  "))
}

// Nodes takes kernel tables, CNI configuration and files of tierwall off every
// node, and returns the number of nodes when all are clean. The DaemonSet stays,
// and does the same on nodes that are added, until it is deleted or, by the next
// installation, overwritten. Nodes may be called again at any time.
//
// It needs get and update of the DaemonSet, and list of pods in its namespace.
// A DaemonSet that does not exist is no error: there is nothing to clean then.
func Nodes(ctx context.Context, client kubernetes.Interface, o Options) (int, error) {
	o = o.withDefaults()
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	sets := client.AppsV1().DaemonSets(o.Namespace)
	var set *appsv1.DaemonSet
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		var err error
		if set, err = sets.Get(ctx, o.DaemonSet, metav1.GetOptions{}); err != nil {
			return err
		}
		changed, err := turn(set)
		if err != nil || !changed {
			return err
		}
		set, err = sets.Update(ctx, set, metav1.UpdateOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("DaemonSet %s/%s: %w", o.Namespace, o.DaemonSet, err)
	}

	var lastErr error
	clean := -1
	err = wait.PollUntilContextCancel(ctx, o.Poll, true, func(ctx context.Context) (bool, error) {
		seen, err := sets.Get(ctx, o.DaemonSet, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, fmt.Errorf("DaemonSet %s/%s was deleted before all nodes were clean", o.Namespace, o.DaemonSet)
		}
		if lastErr = err; err != nil {
			return false, nil // the API server may be away for a moment
		}
		s := seen.Status
		if s.ObservedGeneration < set.Generation {
			return false, nil
		}
		set = seen
		if now := int(min(s.NumberReady, s.UpdatedNumberScheduled)); now != clean && o.Progress != nil {
			clean = now
			o.Progress(now, int(s.DesiredNumberScheduled))
		}
		return s.UpdatedNumberScheduled == s.DesiredNumberScheduled && s.NumberReady == s.DesiredNumberScheduled, nil
	})
	total := int(set.Status.DesiredNumberScheduled)
	if err == nil {
		return total, nil
	}
	if !wait.Interrupted(err) {
		return 0, err
	}
	// The time is over, or the user has had enough: say what is left.
	if lastErr != nil && !errors.Is(lastErr, context.DeadlineExceeded) && !errors.Is(lastErr, context.Canceled) {
		return 0, fmt.Errorf("DaemonSet %s/%s: %w", o.Namespace, o.DaemonSet, lastErr)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	left, err := notClean(ctx, client, set)
	if err != nil {
		return 0, fmt.Errorf("not all nodes are clean; which ones: %w", err)
	}
	if missing := total - len(left) - int(set.Status.NumberReady); missing > 0 && len(left) == 0 {
		left = append(left, fmt.Sprintf("%d nodes: no pod of the DaemonSet has been made there", missing))
	}
	return 0, &NotClean{Nodes: left, Total: total}
}

func (o Options) withDefaults() Options {
	if o.Namespace == "" {
		o.Namespace = Namespace
	}
	if o.DaemonSet == "" {
		o.DaemonSet = DaemonSet
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	return o
}

// turn makes a DaemonSet of agents one of removers, and reports whether it was
// not one already. It changes nothing but fields that the manifests set: the
// next installation, which overwrites these, is an ordinary one.
func turn(set *appsv1.DaemonSet) (bool, error) {
	i := slices.IndexFunc(set.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Name == container })
	if i < 0 {
		return false, fmt.Errorf("it has no container %q: is it tierwall's?", container)
	}
	c := &set.Spec.Template.Spec.Containers[i]
	if removes(c.Args) {
		return false, nil
	}
	if len(c.Args) == 0 || c.Args[0] != "agent" {
		return false, fmt.Errorf("its container %q runs %q, expected tierwall agent", container, c.Args)
	}
	args := []string{Command}
	if p := c.ReadinessProbe; p != nil && p.HTTPGet != nil {
		host := p.HTTPGet.Host
		if host == "" {
			host = "127.0.0.1"
		}
		args = append(args, "--hold", net.JoinHostPort(host, p.HTTPGet.Port.String()))
	} else {
		return false, fmt.Errorf("its container %q has no readiness probe by HTTP, by which a clean node is known", container)
	}
	// The flag, and not the subcommand: the DaemonSet may be of a release that knows only this,
	// and removal knows the flags of the agent that way.
	c.Args = slices.Concat(args, []string{"--"}, c.Args, []string{"--remove"})
	all := intstr.FromString("100%")
	set.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{
		Type:          appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &all},
	}
	return true, nil
}

// removes reports whether these are the arguments of a remover.
func removes(args []string) bool { return len(args) > 0 && args[0] == Command }

// notClean lists the nodes of a DaemonSet whose pod has not removed everything,
// with what is known of the reason.
func notClean(ctx context.Context, client kubernetes.Interface, set *appsv1.DaemonSet) ([]string, error) {
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods(set.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	why := map[string]string{}
	clean := map[string]bool{}
	for _, pod := range pods.Items {
		node := pod.Spec.NodeName
		if node == "" {
			node = "(no node)"
		}
		if isClean(&pod) {
			clean[node] = true
		} else {
			why[node] = fmt.Sprintf("%s: pod %s %s", node, pod.Name, state(&pod))
		}
	}
	var out []string
	for node, s := range why {
		if !clean[node] {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out, nil
}

func isClean(pod *corev1.Pod) bool {
	remover := slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return removes(c.Args) })
	return remover && pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// state says what a pod is doing, in the words of its node.
func state(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return "is still ending: is the node there?"
	}
	for _, s := range pod.Status.ContainerStatuses {
		switch {
		case s.State.Waiting != nil:
			return strings.TrimSuffix("waits: "+s.State.Waiting.Reason+": "+s.State.Waiting.Message, ": ")
		case s.State.Terminated != nil:
			return fmt.Sprintf("failed with exit code %d", s.State.Terminated.ExitCode)
		}
	}
	if pod.Status.Phase == corev1.PodPending {
		return "has not started: is the node there?"
	}
	return "is not ready"
}
