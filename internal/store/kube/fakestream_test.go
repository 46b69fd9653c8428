package kube

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// watch answers with a stream.
func (a *fakeAPI) watch(w http.ResponseWriter, r *http.Request, plural, namespace string) {
	q := r.URL.Query()
	version, _ := strconv.Atoi(q.Get("resourceVersion"))
	initial := q.Get("sendInitialEvents") == "true"
	matches := func(o *stored) bool {
		return (namespace == "" || o.namespace == namespace) && (only(r) == "" || o.name == only(r) || o.name == "")
	}
	status := a.refusal(plural, "watch", r)
	switch {
	case status != nil:
	case initial && a.noWatchList:
		status = &metav1.Status{Status: "Failure", Code: 422, Reason: metav1.StatusReasonInvalid, Message: "sendInitialEvents is forbidden for watch"}
	case version < a.expired && !initial && a.expiredEarly:
		status = gone()
	}
	if status != nil {
		fail(w, status)
		return
	}
	s := &stream{w: w, proto: wantsProto(r)}
	w.WriteHeader(http.StatusOK)
	s.flush()
	if version < a.expired && !initial {
		s.send("ERROR", must(json.Marshal(gone())), must(gone().Marshal()), "v1", "Status")
		return
	}
	if initial {
		for _, o := range a.objects[plural] {
			if matches(o) {
				s.object("ADDED", o)
			}
		}
		version = a.version
		if !a.mute {
			s.bookmark(version, true)
		}
	}
	done := r.Context().Done()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-done:
			a.change(func() {})
		case <-stop:
		}
	}()
	for epoch := a.epoch; epoch == a.epoch && !a.goneAway; a.changed.Wait() {
		select {
		case <-done:
			return
		default:
		}
		if version < a.expired { // a slow reader
			s.send("ERROR", must(json.Marshal(gone())), must(gone().Marshal()), "v1", "Status")
			return
		}
		for _, e := range a.log {
			if e.version <= version || e.plural != plural || !matches(e.stored) {
				continue
			}
			version = e.version
			if e.kind == "garbage" {
				_, _ = w.Write(e.json)
				s.flush()
				panic(http.ErrAbortHandler)
			}
			s.object(e.kind, e.stored)
		}
	}
	if a.goneAway {
		panic(http.ErrAbortHandler)
	}
}

// stream writes events.
type stream struct {
	w     http.ResponseWriter
	proto bool
}

func (s *stream) flush() { s.w.(http.Flusher).Flush() }

func (s *stream) object(kind string, o *stored) { s.send(kind, o.json, o.proto, "v1", "Object") }

func (s *stream) bookmark(version int, end bool) {
	o := metav1.PartialObjectMetadata{}
	o.ResourceVersion = strconv.Itoa(version)
	if end {
		o.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	s.send("BOOKMARK", must(json.Marshal(o)), must(o.Marshal()), "v1", "Object")
}

// send writes one event. What has no form in protobuf is sent as JSON: a stream
// is of one form.
func (s *stream) send(kind string, text, raw []byte, version, name string) {
	if s.proto {
		_, _ = s.w.Write(frame(kind, raw, version, name))
	} else {
		noError(json.NewEncoder(s.w).Encode(map[string]any{"type": kind, "object": json.RawMessage(text)}))
	}
	s.flush()
}

// frame is an event in protobuf.
func frame(kind string, raw []byte, version, name string) []byte {
	event := metav1.WatchEvent{Type: kind}
	event.Object.Raw = envelope(raw, version, name)
	body := must(event.Marshal())
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func envelope(raw []byte, version, name string) []byte {
	u := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: version, Kind: name}, Raw: raw}
	return append(slices.Clone(protobufMark), must(u.Marshal())...)
}

// protoList is a page of objects that all have a form in protobuf.
func protoList(meta metav1.ListMeta, items []*stored) []byte {
	raw := protowire.AppendTag(nil, 1, protowire.BytesType)
	raw = protowire.AppendBytes(raw, must(meta.Marshal()))
	for _, s := range items {
		raw = protowire.AppendTag(raw, 2, protowire.BytesType)
		raw = protowire.AppendBytes(raw, s.proto)
	}
	return envelope(raw, "v1", "List")
}

func fail(w http.ResponseWriter, s *metav1.Status) {
	w.Header().Set("Content-Type", "application/json")
	if s.Details != nil && s.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(s.Details.RetryAfterSeconds)))
	}
	w.WriteHeader(int(s.Code))
	s.APIVersion, s.Kind = "v1", "Status"
	noError(json.NewEncoder(w).Encode(s))
}

func gone() *metav1.Status {
	return &metav1.Status{Status: "Failure", Code: 410, Reason: metav1.StatusReasonExpired, Message: "too old resource version"}
}

func notFound() *metav1.Status {
	return &metav1.Status{Status: "Failure", Code: 404, Reason: metav1.StatusReasonNotFound, Message: "the server could not find the requested resource"}
}

func must[T any](v T, err error) T {
	noError(err)
	return v
}

func noError(err error) {
	if err != nil {
		panic(err)
	}
}
