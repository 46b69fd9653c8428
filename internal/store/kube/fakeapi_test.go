package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	v3 "github.com/tierwall/tierwall/api/v3"
)

// fakeAPI is an API server in this process: it speaks the protocol of lists and
// watches as the real one does, and fails as it is told.
type fakeAPI struct {
	server *httptest.Server

	mu      sync.Mutex
	changed *sync.Cond
	version int
	objects map[string]map[string]*stored // by plural, and "namespace/name"
	log     []logged
	expired int // versions up to it are forgotten
	epoch   int // streams of an earlier one end
	served  []string
	groups  []string
	cluster map[string][]string // resources of the cluster's policies, by version
	// noWatchList is a server from before streams of all objects; mute is one that
	// sends them, and never says that it has sent all.
	noWatchList, mute bool
	// expiredEarly answers 410 to a request for a watch, instead of in the stream.
	expiredEarly bool
	// goneAway ends all connections without an answer.
	goneAway bool
	// refuse says what to answer instead of doing what is asked for.
	refuse func(plural, verb string, r *http.Request) *metav1.Status
	// listed counts pages.
	listed int
}

// stored is an object as it is on the wire.
type stored struct {
	namespace, name string
	json, proto     []byte
}

// logged is one event, in the order of versions.
type logged struct {
	version int
	plural  string
	kind    string // ADDED, MODIFIED, DELETED, or garbage
	*stored
}

func newFakeAPI(t testing.TB) *fakeAPI {
	a := &fakeAPI{version: 1, objects: map[string]map[string]*stored{}}
	a.changed = sync.NewCond(&a.mu)
	for _, k := range kindsOf(&Options{}) {
		if k.optional && k.Group == v3.GroupName {
			a.served = append(a.served, k.Resource)
		}
	}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(func() {
		a.cut()
		a.server.Close()
	})
	return a
}

func (a *fakeAPI) config() *rest.Config { return &rest.Config{Host: a.server.URL} }

// change runs f under the lock and wakes the streams.
func (a *fakeAPI) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	a.changed.Broadcast()
}

// cut ends all streams.
func (a *fakeAPI) cut() { a.change(func() { a.epoch++ }) }

// expire forgets all versions so far.
func (a *fakeAPI) expire() { a.change(func() { a.version++; a.expired, a.log = a.version, nil }) }

// put stores an object: one of Kubernetes' types, or anything that is JSON with a name.
func (a *fakeAPI) put(k *kind, object any) {
	a.change(func() { a.putLocked(k, object) })
}

func (a *fakeAPI) putLocked(k *kind, object any) {
	a.version++
	s := &stored{}
	if o, ok := object.(protoObject); ok {
		o.SetResourceVersion(strconv.Itoa(a.version))
		s.namespace, s.name = o.GetNamespace(), o.GetName()
		s.json = must(json.Marshal(o))
		raw := make([]byte, o.Size())
		must(o.MarshalToSizedBuffer(raw))
		s.proto = raw
	} else {
		var fields map[string]any
		noError(json.Unmarshal(must(json.Marshal(object)), &fields))
		meta := fields["metadata"].(map[string]any)
		meta["resourceVersion"] = strconv.Itoa(a.version)
		fields["apiVersion"], fields["kind"] = k.APIVersion(), k.Name
		s.name = meta["name"].(string)
		s.namespace, _ = meta["namespace"].(string)
		s.json = must(json.Marshal(fields))
	}
	of := a.objects[k.FullResource()]
	if of == nil {
		of = map[string]*stored{}
		a.objects[k.FullResource()] = of
	}
	key := s.namespace + "/" + s.name
	kind := "ADDED"
	if of[key] != nil {
		kind = "MODIFIED"
	}
	of[key] = s
	a.log = append(a.log, logged{a.version, k.FullResource(), kind, s})
}

// remove deletes an object, if it is there.
func (a *fakeAPI) remove(k *kind, namespace, name string) {
	a.change(func() {
		s := a.objects[k.FullResource()][namespace+"/"+name]
		if s == nil {
			return
		}
		delete(a.objects[k.FullResource()], namespace+"/"+name)
		a.version++
		a.log = append(a.log, logged{a.version, k.FullResource(), "DELETED", s})
	})
}

// garbage lets all present streams of a kind say something that is no event.
func (a *fakeAPI) garbage(k *kind, text string) {
	a.change(func() {
		a.version++
		a.log = append(a.log, logged{a.version, k.FullResource(), "garbage", &stored{json: []byte(text), proto: []byte(text)}})
	})
}

// serve answers one request.
func (a *fakeAPI) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.goneAway {
		panic(http.ErrAbortHandler)
	}
	switch r.URL.Path {
	case "/apis":
		a.answer(w, r, "apis", "get", func() any {
			list := metav1.APIGroupList{}
			for _, g := range append(a.groups, "networking.k8s.io") {
				list.Groups = append(list.Groups, metav1.APIGroup{Name: g})
			}
			if len(a.cluster) > 0 {
				g := metav1.APIGroup{Name: clusterPolicy}
				for _, version := range slices.Sorted(maps.Keys(a.cluster)) {
					g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: clusterPolicy + "/" + version, Version: version})
				}
				list.Groups = append(list.Groups, g)
			}
			return list
		})
		return
	case "/apis/" + v3.GroupVersion:
		a.answer(w, r, v3.GroupName, "get", func() any {
			if len(a.served) == 0 {
				return nil
			}
			list := metav1.APIResourceList{GroupVersion: v3.GroupVersion}
			for _, name := range a.served {
				list.APIResources = append(list.APIResources,
					metav1.APIResource{Name: name, Verbs: []string{"get", "list", "watch"}}, metav1.APIResource{Name: name + "/status", Verbs: []string{"get"}})
			}
			return list
		})
		return
	}
	if version, is := strings.CutPrefix(r.URL.Path, "/apis/"+clusterPolicy+"/"); is && !strings.Contains(version, "/") {
		a.answer(w, r, clusterPolicy, "get", func() any {
			list := metav1.APIResourceList{GroupVersion: clusterPolicy + "/" + version}
			for _, name := range a.cluster[version] {
				list.APIResources = append(list.APIResources, metav1.APIResource{Name: name, Verbs: []string{"get", "list", "watch"}})
			}
			return list
		})
		return
	}
	plural, namespace, name := a.resource(parts)
	switch q := r.URL.Query(); {
	case plural == "":
		fail(w, notFound())
	case name != "":
		a.answer(w, r, plural, "get", func() any {
			if s := a.objects[plural]["/"+name]; s != nil {
				return json.RawMessage(s.json)
			}
			return nil
		})
	case q.Get("watch") == "true":
		a.watch(w, r, plural, namespace)
	default:
		a.answer(w, r, plural, "list", func() any {
			return a.page(plural, namespace, only(r), q.Get("limit"), q.Get("continue"), wantsProto(r))
		})
	}
}

// resource takes a path apart.
func (a *fakeAPI) resource(parts []string) (plural, namespace, name string) {
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = "."+parts[1], parts[3:]
		if group == "."+v3.GroupName && !slices.Contains(a.served, parts[len(parts)-1]) {
			return "", "", ""
		}
		if group == "."+clusterPolicy && len(a.cluster) == 0 {
			return "", "", ""
		}
	default:
		return "", "", ""
	}
	if len(parts) == 3 && parts[0] == "namespaces" {
		return parts[2] + group, parts[1], ""
	}
	if len(parts) == 2 {
		name = parts[1]
	}
	return parts[0] + group, "", name
}

// answer answers with JSON, unless it is told to refuse; nil is for what does not exist.
func (a *fakeAPI) answer(w http.ResponseWriter, r *http.Request, plural, verb string, what func() any) {
	status := a.refusal(plural, verb, r)
	var answer any
	if status == nil {
		if answer = what(); answer == nil {
			status = notFound()
		}
	}
	if s, isStatus := answer.(*metav1.Status); isStatus {
		status = s
	}
	if status != nil {
		fail(w, status)
		return
	}
	if raw, isProto := answer.([]byte); isProto {
		w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
		_, _ = w.Write(raw)
		return
	}
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	noError(json.NewEncoder(w).Encode(answer))
}

// only returns the name that a request is limited to.
func only(r *http.Request) string {
	return strings.TrimPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
}

func wantsProto(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), runtime.ContentTypeProtobuf)
}

func (a *fakeAPI) refusal(plural, verb string, r *http.Request) *metav1.Status {
	if a.refuse == nil {
		return nil
	}
	return a.refuse(plural, verb, r)
}

// page returns a part of a list, by name.
func (a *fakeAPI) page(plural, namespace, only, limit, from string, inProto bool) any {
	a.listed++
	var all []*stored
	for _, s := range a.objects[plural] {
		if (namespace == "" || s.namespace == namespace) && (only == "" || s.name == only) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *stored) int { return strings.Compare(a.namespace+"/"+a.name, b.namespace+"/"+b.name) })
	version, begin := a.version, 0
	if from != "" {
		_, _ = fmt.Sscanf(from, "%d-%d", &version, &begin)
		if version < a.expired {
			return gone()
		}
	}
	n, _ := strconv.Atoi(limit)
	if n == 0 {
		n = len(all)
	}
	// A page is of the present state and not of the first page's: tests that care
	// change nothing in between.
	begin = min(begin, len(all))
	meta := metav1.ListMeta{ResourceVersion: strconv.Itoa(version)}
	if begin+n < len(all) {
		meta.Continue = fmt.Sprintf("%d-%d", version, begin+n)
	}
	all = all[begin:min(begin+n, len(all))]
	if inProto && !slices.ContainsFunc(all, func(s *stored) bool { return s.proto == nil }) {
		return protoList(meta, all)
	}
	list := struct {
		Metadata metav1.ListMeta   `json:"metadata"`
		Items    []json.RawMessage `json:"items"`
	}{Metadata: meta}
	for _, s := range all {
		list.Items = append(list.Items, s.json)
	}
	return list
}
