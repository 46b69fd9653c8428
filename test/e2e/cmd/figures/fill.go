package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// size says what a cluster holds.
type size struct {
	pods, policies, namespaces, local int
}

// Names of what fill makes.
const (
	localNode = "node-0"
	nodes     = 100
	writers   = 32
)

func namespace(i int) string { return fmt.Sprintf("team-%d", i) }

// place returns the namespace and name of pod i.
func (s size) place(i int) (ns, name string) {
	return namespace(i % s.namespaces), fmt.Sprintf("web-%d-7d9c5b6f48-%05d", i%7, i)
}

func podAddress(i int) string { return fmt.Sprintf("10.%d.%d.%d", 64+i>>16, i>>8&255, i&255) }

// fill makes the cluster's objects. Pods have a node and an address, and no kubelet behind them.
func fill(ctx context.Context, c kubernetes.Interface, s size) error {
	for i := range nodes {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i)}}
		if _, err := c.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if err := each(ctx, s.namespaces, func(ctx context.Context, i int) error {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(i), Labels: map[string]string{"team": fmt.Sprint(i % 50)}}}
		_, err := c.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
		return err
	}); err != nil {
		return err
	}
	if err := each(ctx, s.namespaces, func(ctx context.Context, i int) error { // pods are refused without it
		return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 3*time.Minute, true, func(ctx context.Context) (bool, error) {
			_, err := c.CoreV1().ServiceAccounts(namespace(i)).Get(ctx, "default", metav1.GetOptions{})
			return err == nil, nil
		})
	}); err != nil {
		return err
	}
	if err := each(ctx, s.policies, func(ctx context.Context, i int) error {
		p := networkPolicy(s, i)
		_, err := c.NetworkingV1().NetworkPolicies(p.Namespace).Create(ctx, p, metav1.CreateOptions{})
		return err
	}); err != nil {
		return err
	}
	return each(ctx, s.pods, func(ctx context.Context, i int) error {
		p := pod(s, i)
		made, err := c.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		made.Status.Phase = corev1.PodRunning
		made.Status.PodIP, made.Status.PodIPs = podAddress(i), []corev1.PodIP{{IP: podAddress(i)}}
		_, err = c.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, made, metav1.UpdateOptions{})
		return err
	})
}

// each calls f for 0 to n-1, several at a time, and tries again what the server has no time for.
func each(ctx context.Context, n int, f func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for i := range n {
		g.Go(func() error {
			var last error
			err := wait.PollUntilContextTimeout(ctx, time.Second, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
				last = f(ctx, i)
				if last == nil || apierrors.IsAlreadyExists(last) {
					return true, nil
				}
				if apierrors.IsTooManyRequests(last) || apierrors.IsServerTimeout(last) || apierrors.IsTimeout(last) {
					return false, nil
				}
				return false, last
			})
			if err != nil && last != nil {
				return errors.Join(err, last)
			}
			return err
		})
	}
	return g.Wait()
}

func pod(s size, i int) *corev1.Pod {
	ns, name := s.place(i)
	node := fmt.Sprintf("node-%d", 1+i%(nodes-1))
	if i < s.local {
		node = localNode
	}
	no := false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{
			"app": fmt.Sprintf("app-%d", i/s.namespaces%20), "tier": []string{"front", "back", "data"}[i%3],
			"pod-template-hash": fmt.Sprintf("7d9c5b6f%02d", i%100), "version": fmt.Sprint(i % 4),
		}},
		Spec: corev1.PodSpec{
			NodeName: node, AutomountServiceAccountToken: &no,
			Containers: []corev1.Container{{Name: "c", Image: "none", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}},
			// no kubelet keeps these nodes ready
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		},
	}
}

// networkPolicy returns policy i: to an app of its namespace from another app there, and from a team's namespaces.
func networkPolicy(s size, i int) *networkingv1.NetworkPolicy {
	app := func(n int) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprintf("app-%d", n%20)}}
	}
	team := &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprint(i % 50)}}
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace(i % s.namespaces), Name: fmt.Sprintf("policy-%d", i)},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *app(i / s.namespaces),
			Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{
				{PodSelector: app(i + 1)}, {NamespaceSelector: team, PodSelector: app(i + 2)},
			}}},
		},
	}
}
