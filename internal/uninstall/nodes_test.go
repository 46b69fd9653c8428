package uninstall

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

var labels = map[string]string{"app": "agent"}

// agents is a DaemonSet as the manifests have it.
func agents() *appsv1.DaemonSet {
	one := intstr.FromInt32(1)
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Host: "127.0.0.1", Port: intstr.FromInt32(9097), Path: "/readyz"}}}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: DaemonSet, Namespace: Namespace, Generation: 1},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "agent", Image: "tierwall:v1", Args: []string{"agent", "--store=kube", "--node=$(NODE_NAME)"}, ReadinessProbe: probe,
			}}}},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &one}},
		},
		Status: appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberReady: 3},
	}
}

// apiServer is a fake API server with a DaemonSet controller that has, at each
// look, the next of these states.
func apiServer(set *appsv1.DaemonSet, pods []corev1.Pod, states ...appsv1.DaemonSetStatus) *fake.Clientset {
	objects := []runtime.Object{}
	if set != nil {
		objects = append(objects, set)
	}
	for i := range pods {
		objects = append(objects, &pods[i])
	}
	client := fake.NewClientset(objects...)
	client.PrependReactor("update", "daemonsets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		a.(clienttesting.UpdateAction).GetObject().(*appsv1.DaemonSet).Generation++
		return false, nil, nil
	})
	looks := 0
	client.PrependReactor("get", "daemonsets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if looks++; looks == 1 || len(states) == 0 {
			return false, nil, nil
		}
		o, err := client.Tracker().Get(a.GetResource(), a.GetNamespace(), a.(clienttesting.GetAction).GetName())
		if err != nil {
			return true, nil, err
		}
		seen := o.(*appsv1.DaemonSet).DeepCopy()
		seen.Status = states[min(looks-2, len(states)-1)]
		return true, seen, nil
	})
	return client
}

func pod(node string, edit func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "agent-" + node, Namespace: Namespace, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "agent", Args: []string{Command, "--hold"}}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	edit(&p)
	return p
}

func TestNodes(t *testing.T) {
	done := appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberReady: 3}
	client := apiServer(agents(), nil,
		appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberReady: 3}, // not seen yet
		appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 0, NumberReady: 3}, // the agents are still there
		appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 2, NumberReady: 1},
		appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberReady: 2},
		done,
	)
	var progress []int
	n, err := Nodes(t.Context(), client, Options{Poll: time.Millisecond, Progress: func(clean, nodes int) {
		progress = append(progress, clean)
		if nodes != 3 {
			t.Errorf("%d nodes, expected 3", nodes)
		}
	}})
	if err != nil || n != 3 {
		t.Fatalf("%d nodes, error %v", n, err)
	}
	if diff := cmp.Diff([]int{0, 1, 2, 3}, progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	set, err := client.AppsV1().DaemonSets(Namespace).Get(t.Context(), DaemonSet, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"uninstall", "--hold", "127.0.0.1:9097", "--", "agent", "--store=kube", "--node=$(NODE_NAME)", "--remove"}
	if diff := cmp.Diff(want, set.Spec.Template.Spec.Containers[0].Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if got := set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.String(); got != "100%" {
		t.Errorf("%s at once, expected all", got)
	}
	// What the manifests do not set is not touched: an installation over it is an ordinary one.
	unchanged := agents()
	unchanged.Spec.Template.Spec.Containers[0].Args = set.Spec.Template.Spec.Containers[0].Args
	unchanged.Spec.UpdateStrategy = set.Spec.UpdateStrategy
	if diff := cmp.Diff(unchanged.Spec, set.Spec); diff != "" {
		t.Errorf("more was changed (-want +got):\n%s", diff)
	}

	// Again: nothing to change.
	again := apiServer(set, nil, done)
	if n, err := Nodes(t.Context(), again, Options{Poll: time.Millisecond}); err != nil || n != 3 {
		t.Errorf("again: %d nodes, error %v", n, err)
	}
	for _, a := range again.Actions() {
		if a.GetVerb() == "update" {
			t.Error("the second time changes the DaemonSet")
		}
	}
}

func TestNodesNotClean(t *testing.T) {
	ready := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	now := metav1.Now()
	client := apiServer(agents(), []corev1.Pod{
		pod("n1", ready),
		pod("n2", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}}}}
		}),
		pod("n3", func(p *corev1.Pod) { p.DeletionTimestamp, p.Finalizers = &now, []string{"x"} }),
		pod("n4", func(p *corev1.Pod) { ready(p); p.Spec.Containers[0].Args = []string{"agent"} }),
		pod("n5", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }),
	}, appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 5, UpdatedNumberScheduled: 3, NumberReady: 2})
	_, err := Nodes(t.Context(), client, Options{Timeout: 50 * time.Millisecond, Poll: time.Millisecond})
	var left *NotClean
	if !errors.As(err, &left) {
		t.Fatal(err)
	}
	want := &NotClean{Total: 5, Nodes: []string{
		"n2: pod agent-n2 waits: CrashLoopBackOff: back-off 10s",
		"n3: pod agent-n3 is still ending: is the node there?",
		"n4: pod agent-n4 is not ready",
		"n5: pod agent-n5 has not started: is the node there?",
	}}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(err.Error(), "4 of 5 nodes could not be cleaned:\n  n2: ") {
		t.Error(err)
	}
}

func TestNodesFails(t *testing.T) {
	if n, err := Nodes(t.Context(), apiServer(nil, nil), Options{}); n != 0 || err != nil {
		t.Errorf("without a DaemonSet: %d, %v", n, err)
	}
	foreign := agents()
	foreign.Spec.Template.Spec.Containers[0].Name = "other"
	if _, err := Nodes(t.Context(), apiServer(foreign, nil), Options{}); err == nil || !strings.Contains(err.Error(), `no container "agent"`) {
		t.Errorf("a DaemonSet of others: %v", err)
	}
	foreign = agents()
	foreign.Spec.Template.Spec.Containers[0].Args = []string{"serve"}
	if _, err := Nodes(t.Context(), apiServer(foreign, nil), Options{}); err == nil || !strings.Contains(err.Error(), "expected tierwall agent") {
		t.Errorf("another program: %v", err)
	}
	foreign = agents()
	foreign.Spec.Template.Spec.Containers[0].ReadinessProbe = nil
	if _, err := Nodes(t.Context(), apiServer(foreign, nil), Options{}); err == nil || !strings.Contains(err.Error(), "no readiness probe") {
		t.Errorf("no probe: %v", err)
	}

	// Deleted before all are clean: what is left on the nodes is not known.
	client := failing(apierrors.NewNotFound(appsv1.Resource("daemonsets"), DaemonSet))
	if _, err := Nodes(t.Context(), client, Options{Poll: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "was deleted before all nodes were clean") {
		t.Errorf("deleted: %v", err)
	}

	// Interrupted, and the API server away.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	client = failing(errors.New("connection refused"))
	if _, err := Nodes(ctx, client, Options{Poll: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("no API server: %v", err)
	}
}

// failing is an API server that fails to give the DaemonSet, but for the first time.
func failing(err error) *fake.Clientset {
	client := apiServer(agents(), nil)
	looks := 0
	client.PrependReactor("get", "daemonsets", func(clienttesting.Action) (bool, runtime.Object, error) {
		looks++
		return looks > 1, nil, err
	})
	return client
}
