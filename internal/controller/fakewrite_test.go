package controller

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// patience is how long a test waits for what must come.
func patience() <-chan time.Time { return time.After(30 * time.Second) }

// write takes a write in.
func (f *fakeAPI) write(w http.ResponseWriter, r *http.Request, o object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := r.URL.Path
	f.writes = append(f.writes, r.Method+" "+path)
	f.changed.Broadcast()
	switch {
	case r.Method == http.MethodPost:
		f.create(w, path, o)
	case r.Method == http.MethodPut:
		f.replace(w, path, o)
	case strings.HasSuffix(path, "/status"):
		f.applyStatus(w, r, strings.TrimSuffix(path, "/status"), o)
	default:
		f.merge(w, path, o)
	}
}

func (f *fakeAPI) create(w http.ResponseWriter, path string, o object) {
	path += "/" + o["metadata"].(object)["name"].(string)
	if f.objects[path] != nil {
		refuse(w, http.StatusConflict, path+" already exists")
		return
	}
	o["metadata"].(object)["uid"] = "uid-" + strconv.Itoa(f.version)
	f.store(path, o)
	answerWith(w, http.StatusCreated, f.objects[path])
}

// replace is for Leases: it refuses old versions.
func (f *fakeAPI) replace(w http.ResponseWriter, path string, o object) {
	was := f.objects[path]
	switch {
	case was == nil:
		refuse(w, http.StatusNotFound, path+" not found")
	case was["metadata"].(object)["resourceVersion"] != o["metadata"].(object)["resourceVersion"]:
		refuse(w, http.StatusConflict, "there is a newer version")
	default:
		f.store(path, o)
		answerWith(w, http.StatusOK, f.objects[path])
	}
}

func (f *fakeAPI) merge(w http.ResponseWriter, path string, o object) {
	was := f.objects[path]
	if was == nil {
		refuse(w, http.StatusNotFound, path+" not found")
		return
	}
	now := maps.Clone(was)
	maps.Copy(now, o)
	f.store(path, now)
	answerWith(w, http.StatusOK, f.objects[path])
}

// applyStatus is server-side apply to the status, by one manager.
func (f *fakeAPI) applyStatus(w http.ResponseWriter, r *http.Request, path string, o object) {
	was := f.objects[path]
	meta := o["metadata"].(object)
	switch {
	case r.Header.Get("Content-Type") != "application/apply-patch+yaml", r.URL.Query().Get("fieldManager") == "", r.URL.Query().Get("force") != "true":
		refuse(w, http.StatusUnsupportedMediaType, "no server-side apply")
	case was == nil || f.noStatus:
		refuse(w, http.StatusNotFound, path+" not found")
	case meta["uid"] != was["metadata"].(object)["uid"]:
		refuse(w, http.StatusConflict, "another uid")
	default:
		now := maps.Clone(was)
		now["status"] = o["status"]
		f.store(path, now)
		answerWith(w, http.StatusOK, f.objects[path])
	}
}

// condition returns "Status Reason" of a condition of the object at a path. The lock is held.
func (f *fakeAPI) condition(path, name string) string {
	status, _ := f.objects[path]["status"].(object)
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		if c := c.(object); c["type"] == name {
			return c["status"].(string) + " " + c["reason"].(string)
		}
	}
	return ""
}

// number returns a number of a status. The lock is held.
func (f *fakeAPI) number(path, name string) int {
	status, _ := f.objects[path]["status"].(object)
	n, _ := status[name].(float64)
	return int(n)
}

// events returns the notes of the Events about an object, sorted. The lock is held.
func (f *fakeAPI) events(kind, name string) []string {
	var notes []string
	for path, o := range f.objects {
		regarding, _ := o["regarding"].(object)
		if collectionOf(path) == "/apis/events.k8s.io/v1/events" && regarding["kind"] == kind && regarding["name"] == name {
			notes = append(notes, o["note"].(string))
		}
	}
	slices.Sort(notes)
	return notes
}

// written counts the writes at a path.
func (f *fakeAPI) written(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, w := range f.writes {
		if strings.HasSuffix(w, " "+path) {
			n++
		}
	}
	return n
}

const (
	gnpPath    = "/apis/projectcalico.org/v3/globalnetworkpolicies/"
	npPath     = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/"
	reportPath = "/apis/policy.tierwall.dev/v1alpha1/nodepolicyreports/"
	leasePath  = "/apis/coordination.k8s.io/v1/namespaces/system/leases/tierwall-controller"
)

func policyObject(name string, spec object) object {
	return object{"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "metadata": object{"name": name}, "spec": spec}
}

func reportObject(node, err string, policies ...object) object {
	return object{
		"apiVersion": "policy.tierwall.dev/v1alpha1", "kind": "NodePolicyReport", "metadata": object{"name": node},
		"report": object{"error": err, "endpoints": 10, "policies": policies},
	}
}

func inForceObject(name string, generation, endpoints int) object {
	return object{"kind": "GlobalNetworkPolicy", "name": name, "generation": generation, "endpoints": endpoints}
}
