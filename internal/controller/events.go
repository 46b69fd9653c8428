package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tierwall/tierwall/policy"
)

const (
	// eventSource is who says it.
	eventSource = "policy.tierwall.dev/controller"
	// repeatEvent is when an Event is said again: an API server forgets Events after an hour.
	repeatEvent = 40 * time.Minute
	// maxNote is what an Event may say, in bytes.
	maxNote = 1024
)

// eventName returns the Event about what is wrong with an object: the same for
// the same, so that it is one Event, whoever leads.
func eventName(s *reconciliation, key policy.Key) string {
	h := fnv.New64a()
	for _, text := range []string{key.Kind, string(s.uid), strconv.FormatInt(s.generation, 10), s.validity.message} {
		_, _ = h.Write([]byte(text))
		_, _ = h.Write([]byte{0})
	}
	return shortName(key.Name) + "." + strconv.FormatUint(h.Sum64(), 16)
}

// shortName leaves room for what is added to a name.
func shortName(name string) string {
	if len(name) > 200 {
		name = name[:200]
	}
	for name[len(name)-1] == '.' || name[len(name)-1] == '-' {
		name = name[:len(name)-1]
	}
	return name
}

// event returns the Event about what is wrong with an object.
func event(s *reconciliation, key policy.Key, instance string, at time.Time) *eventsv1.Event {
	namespace := key.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault // as Kubernetes does with objects of no namespace
	}
	return &eventsv1.Event{
		TypeMeta:            metav1.TypeMeta{APIVersion: "events.k8s.io/v1", Kind: "Event"},
		ObjectMeta:          metav1.ObjectMeta{Name: eventName(s, key), Namespace: namespace},
		EventTime:           metav1.NewMicroTime(at),
		ReportingController: eventSource,
		ReportingInstance:   shorten(instance, 128),
		Action:              "Validate",
		Reason:              s.validity.reason,
		Type:                corev1.EventTypeWarning,
		Note:                shorten(s.validity.message, maxNote),
		Regarding: corev1.ObjectReference{
			APIVersion: s.kind.APIVersion(), Kind: s.kind.Name, Namespace: key.Namespace, Name: key.Name, UID: s.uid,
		},
	}
}

// ensureEvent makes sure that there is an Event that says what is wrong with an object,
// and that it is not older than repeatEvent.
func (c *client) ensureEvent(ctx context.Context, s *reconciliation, key policy.Key, instance string, at time.Time) (writtenEvent, error) {
	return c.putEvent(ctx, event(s, key, instance, at), s.lastEvent, at)
}

// putEvent writes an Event, or says it again if it was the last one.
func (c *client) putEvent(ctx context.Context, e *eventsv1.Event, last writtenEvent, at time.Time) (writtenEvent, error) {
	path := []string{"apis", "events.k8s.io/v1", "namespaces", e.Namespace, "events"}
	now := writtenEvent{name: e.Name, at: at, count: 1}
	if last.name == e.Name {
		now.count = last.count + 1
		err := c.repeat(ctx, append(path, e.Name), now)
		if !apierrors.IsNotFound(err) {
			return now, err
		}
	}
	body, err := json.Marshal(e)
	if err != nil {
		return writtenEvent{}, err
	}
	err = c.rest.Post().AbsPath(path...).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) {
		err = nil // said before this controller led; repeated when it is time
	}
	return now, err
}

// repeat says an Event again.
func (c *client) repeat(ctx context.Context, path []string, t writtenEvent) error {
	at, err := metav1.NewMicroTime(t.at).MarshalJSON()
	if err != nil {
		return err
	}
	body := fmt.Sprintf(`{"series":{"count":%d,"lastObservedTime":%s}}`, t.count, at)
	return c.rest.Patch(types.MergePatchType).AbsPath(path...).Body([]byte(body)).Do(ctx).Error()
}
