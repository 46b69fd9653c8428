package controller

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// fakeAPI is an API server of few words: lists, streams, server-side apply of
// statuses, Events and Leases, all in memory.
type fakeAPI struct {
	server *httptest.Server

	mu       sync.Mutex
	changed  *sync.Cond
	version  int
	objects  map[string]object // by path
	log      []logged          // all changes, oldest first
	writes   []string          // "METHOD path"
	fail     func(method, path string) int
	noStatus bool // projectcalico.org is served without statuses
	// nodeList and daemonSets can be listed only.
	nodeList, daemonSets []object
}

type object = map[string]any

type logged struct {
	version    int
	collection string // the path without namespace and name
	kind       string // ADDED, MODIFIED, DELETED
	object     object
}

func newFakeAPI(t testing.TB) *fakeAPI {
	f := &fakeAPI{objects: map[string]object{}}
	f.changed = sync.NewCond(&f.mu)
	f.server = httptest.NewServer(http.HandlerFunc(f.handle))
	t.Cleanup(func() {
		f.server.CloseClientConnections()
		f.server.Close()
	})
	return f
}

func (f *fakeAPI) config() *rest.Config { return &rest.Config{Host: f.server.URL} }

// put stores an object at a path, as a user would: its status stays.
func (f *fakeAPI) put(path string, o object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.objects[path]
	meta := o["metadata"].(object)
	if was != nil {
		old := was["metadata"].(object)
		meta["uid"], meta["generation"] = old["uid"], old["generation"].(int)+1
		if o["status"] == nil {
			o["status"] = was["status"]
		}
	} else {
		meta["uid"], meta["generation"] = fmt.Sprintf("uid-%d", f.version), 1
	}
	f.store(path, o)
}

// store stores a new version of an object. The lock is held.
func (f *fakeAPI) store(path string, o object) {
	kind := "MODIFIED"
	if f.objects[path] == nil {
		kind = "ADDED"
	}
	f.version++
	o = maps.Clone(o)
	meta := maps.Clone(o["metadata"].(object))
	meta["resourceVersion"] = strconv.Itoa(f.version)
	o["metadata"] = meta
	f.objects[path] = o
	f.log = append(f.log, logged{f.version, collectionOf(path), kind, o})
	f.changed.Broadcast()
}

func (f *fakeAPI) remove(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.objects[path]
	delete(f.objects, path)
	f.version++
	f.log = append(f.log, logged{f.version, collectionOf(path), "DELETED", o})
	f.changed.Broadcast()
}

// wait waits until a question about the present objects is answered with yes.
func (f *fakeAPI) wait(t testing.TB, what string, is func(f *fakeAPI) bool) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.mu.Lock()
		defer f.mu.Unlock()
		for !is(f) {
			f.changed.Wait()
		}
	}()
	select {
	case <-done:
	case <-t.Context().Done():
		t.Fatalf("the test ended while it waited for: %s", what)
	case <-patience():
		f.mu.Lock()
		defer f.mu.Unlock()
		text, _ := json.MarshalIndent(f.objects, "", "  ")
		t.Fatalf("waited in vain for: %s\n%s\nwrites: %s", what, text, strings.Join(f.writes, "\n"))
	}
}

// Of these there are lists only.
const (
	nodesPath      = "/api/v1/nodes"
	daemonSetsPath = "/apis/apps/v1/daemonsets"
)

// putNode adds a node. The lock is not held.
func (f *fakeAPI) putNode(name string, created time.Time, labels object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodeList = append(f.nodeList, object{"metadata": object{
		"name": name, "uid": "uid-of-" + name, "creationTimestamp": created.UTC().Format(time.RFC3339), "labels": labels,
	}})
}

func (f *fakeAPI) metadata(w http.ResponseWriter, list []object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answerWith(w, http.StatusOK, object{"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": object{}, "items": list})
}

// collectionOf returns the path of all objects of a kind, of any namespace.
func collectionOf(path string) string {
	parts := strings.Split(path, "/")
	if parts[4] == "namespaces" {
		parts = slices.Delete(parts, 4, 6)
	}
	return strings.Join(parts[:5], "/")
}

func (f *fakeAPI) handle(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	f.mu.Lock()
	fail := f.fail
	f.mu.Unlock()
	if fail != nil {
		if code := fail(r.Method, path); code != 0 {
			refuse(w, code, "it was asked to fail")
			return
		}
	}
	parts := strings.Split(path, "/") // "", apis, group, version, ...
	switch {
	case path == nodesPath:
		f.metadata(w, f.nodeList)
	case path == daemonSetsPath:
		f.metadata(w, f.daemonSets)
	case path == "/apis":
		f.groups(w)
	case len(parts) == 4:
		f.resources(w, path)
	case r.Method == http.MethodGet && r.URL.Query().Get("watch") == "true":
		f.stream(w, r)
	case r.Method == http.MethodGet:
		f.get(w, r)
	default:
		body, _ := io.ReadAll(r.Body)
		var o object
		if err := json.Unmarshal(body, &o); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		f.write(w, r, o)
	}
}

func answerWith(w http.ResponseWriter, code int, o any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o)
}

func refuse(w http.ResponseWriter, code int, message string) {
	reason := map[int]metav1.StatusReason{
		http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusConflict: metav1.StatusReasonConflict,
	}[code]
	if strings.Contains(message, "exists") {
		reason = metav1.StatusReasonAlreadyExists
	}
	answerWith(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure",
		Code: int32(code), Reason: reason, Message: message,
	})
}

func (f *fakeAPI) groups(w http.ResponseWriter) {
	var groups []object
	for name, version := range map[string]string{"projectcalico.org": "v3", "networking.k8s.io": "v1", "policy.tierwall.dev": "v1alpha1"} {
		v := object{"groupVersion": name + "/" + version, "version": version}
		groups = append(groups, object{"name": name, "versions": []object{v}, "preferredVersion": v})
	}
	answerWith(w, http.StatusOK, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

func (f *fakeAPI) resources(w http.ResponseWriter, path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: strings.TrimPrefix(path, "/apis/")}
	for _, k := range kinds {
		if k.APIVersion() != list.GroupVersion {
			continue
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: k.Resource, Kind: k.Name, Namespaced: k.Namespaced, Verbs: []string{"get", "list", "watch", "patch"},
		})
		if !f.noStatus {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: k.Resource + "/status", Kind: k.Name, Verbs: []string{"get", "patch"}})
		}
	}
	answerWith(w, http.StatusOK, list)
}

// kindAt returns the kind of the objects at a path.
func kindAt(path string) string {
	for _, k := range kinds {
		if "/apis/"+k.APIVersion()+"/"+k.Resource == path {
			return k.Name
		}
	}
	return "NodePolicyReport"
}

// get returns one object, or all of a kind.
func (f *fakeAPI) get(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := r.URL.Path
	if o := f.objects[path]; o != nil {
		answerWith(w, http.StatusOK, o)
		return
	}
	if collectionOf(path+"/x") != path {
		refuse(w, http.StatusNotFound, path+" not found")
		return
	}
	items := []object{}
	for _, p := range slices.Sorted(maps.Keys(f.objects)) {
		if collectionOf(p) == path {
			items = append(items, f.objects[p])
		}
	}
	answerWith(w, http.StatusOK, object{
		"kind": kindAt(path) + "List", "apiVersion": strings.Join(strings.Split(path, "/")[2:4], "/"),
		"metadata": object{"resourceVersion": strconv.Itoa(f.version)}, "items": items,
	})
}

// stream sends what there is, a bookmark, and then what changes.
func (f *fakeAPI) stream(w http.ResponseWriter, r *http.Request) {
	path, apiVersion := r.URL.Path, strings.Join(strings.Split(r.URL.Path, "/")[2:4], "/")
	w.Header().Set("Content-Type", "application/json")
	send := func(kind string, o object) bool {
		err := json.NewEncoder(w).Encode(object{"type": kind, "object": o})
		w.(http.Flusher).Flush()
		return err == nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for _, p := range slices.Sorted(maps.Keys(f.objects)) {
			if collectionOf(p) == path {
				send("ADDED", f.objects[p])
			}
		}
		from = f.version
		send("BOOKMARK", object{"kind": kindAt(path), "apiVersion": apiVersion, "metadata": object{
			"resourceVersion": strconv.Itoa(from), "annotations": object{"k8s.io/initial-events-end": "true"},
		}})
	}
	go func() {
		<-r.Context().Done()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed.Broadcast()
	}()
	for i := 0; r.Context().Err() == nil; {
		for ; i < len(f.log); i++ {
			if e := f.log[i]; e.version > from && e.collection == path && !send(e.kind, e.object) {
				return
			}
		}
		f.changed.Wait()
	}
}
