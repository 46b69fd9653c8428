package uninstall

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func namespace(edit func(*corev1.Namespace)) *corev1.Namespace {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}
	if edit != nil {
		edit(n)
	}
	return n
}

func TestUnderway(t *testing.T) {
	now := metav1.Now()
	ends := func(n *corev1.Namespace) { n.DeletionTimestamp, n.Finalizers = &now, []string{"kubernetes"} }
	ending := agents()
	ending.DeletionTimestamp, ending.Finalizers = &now, []string{"foregroundDeletion"}
	forbid := func(c *fake.Clientset, resources ...string) {
		for _, r := range resources {
			c.PrependReactor("get", r, func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: r}, "x", nil)
			})
		}
	}
	for name, tt := range map[string]struct {
		objects   []runtime.Object
		forbidden []string
		seen      *corev1.Namespace // by the watch
		want      string            // reason; "": no
		logs      string
	}{
		"an ordinary restart":                    {objects: []runtime.Object{namespace(nil), agents()}},
		"the namespace ends":                     {objects: []runtime.Object{namespace(ends), agents()}, want: "namespace tierwall-system ends"},
		"the DaemonSet is deleted":               {objects: []runtime.Object{namespace(nil)}, want: "DaemonSet tierwall-system/tierwall-agent is deleted"},
		"the DaemonSet is being deleted":         {objects: []runtime.Object{namespace(nil), ending}, want: "DaemonSet tierwall-system/tierwall-agent is deleted"},
		"the rights are gone, the watch knew it": {forbidden: []string{"namespaces", "daemonsets"}, seen: namespace(ends), want: "namespace tierwall-system ends"},
		"the rights are gone, nobody knows": {objects: []runtime.Object{namespace(ends)}, forbidden: []string{"namespaces", "daemonsets"}, seen: namespace(nil),
			logs: "what is in force stays"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(tt.objects...)
			forbid(client, tt.forbidden...)
			var log bytes.Buffer
			w := &Witness{client: client, namespace: Namespace, daemonSet: DaemonSet, log: slog.New(slog.NewTextHandler(&log, nil)), settle: time.Millisecond}
			if tt.seen != nil {
				w.see(tt.seen)
			}
			yes, why := w.Underway(t.Context())
			if yes != (tt.want != "") || why != tt.want {
				t.Errorf("%t %q, expected %q", yes, why, tt.want)
			}
			if !strings.Contains(log.String(), tt.logs) || tt.logs == "" && log.Len() > 0 {
				t.Errorf("log: %q, expected %q", log.String(), tt.logs)
			}
		})
	}
}

// A DaemonSet that is deleted and made again, as kubectl replace --force does it,
// is a restart; one whose Role is deleted after it is not.
func TestUnderwaySettles(t *testing.T) {
	for name, tt := range map[string]struct {
		then error // at the second look; nil: it is there again
		want bool
	}{
		"replaced":          {},
		"the rights follow": {then: apierrors.NewForbidden(schema.GroupResource{Resource: "daemonsets"}, "x", nil), want: true},
		"nobody answers":    {then: errors.New("connection refused")},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(namespace(nil), agents())
			looks := 0
			client.PrependReactor("get", "daemonsets", func(clienttesting.Action) (bool, runtime.Object, error) {
				if looks++; looks == 1 {
					return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "daemonsets"}, "x")
				}
				return tt.then != nil, nil, tt.then
			})
			w := &Witness{client: client, namespace: Namespace, daemonSet: DaemonSet, log: slog.New(slog.DiscardHandler), settle: time.Minute}
			if yes, why := w.Underway(t.Context()); yes != tt.want {
				t.Errorf("%t %q, expected %t", yes, why, tt.want)
			}
		})
	}
}

func TestNoWitness(t *testing.T) {
	t.Setenv(NamespaceVariable, "")
	w := Watch(t.Context(), fake.NewClientset(), slog.New(slog.DiscardHandler))
	if w != nil {
		t.Fatal("a process that is in no DaemonSet has a witness")
	}
	if yes, why := w.Underway(t.Context()); yes || why != "" {
		t.Errorf("%t %q", yes, why)
	}
}
