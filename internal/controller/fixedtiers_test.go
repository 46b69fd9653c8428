package controller

import (
	"testing"
	"time"
)

const tierPath = "/apis/projectcalico.org/v3/tiers/"

// TestFixedTiers: the tiers that always exist are there as objects, and all tiers say what their end does.
func TestFixedTiers(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	tier := func(name string, spec object) {
		f.put(tierPath+name, object{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": object{"name": name, "labels": object{"of": "us"}}, "spec": spec})
	}
	tier("kube-admin", object{}) // a user's own, who left out what cannot be otherwise
	tier("first", object{"order": 1})
	tier("pass", object{"order": 2, "defaultAction": "Pass"})
	start(t, f, func(cfg *Config) { cfg.nodeInterval = 10 * time.Millisecond })
	action := func(name string) string {
		status, _ := f.objects[tierPath+name]["status"].(object)
		text, _ := status["defaultAction"].(string)
		return text
	}
	is := func(name, want string) {
		t.Helper()
		f.wait(t, "tier "+name+": "+want, func(*fakeAPI) bool { return action(name) == want })
	}
	is("default", "Deny")
	is("kube-admin", "Pass")
	is("kube-baseline", "Pass")
	is("first", "Deny")
	is("pass", "Pass")
	f.wait(t, "the user's own stays as it is", func(f *fakeAPI) bool {
		spec, _ := f.objects[tierPath+"kube-admin"]["spec"].(object)
		return len(spec) == 0
	})
	f.remove(tierPath + "kube-baseline")
	is("kube-baseline", "Pass") // it is made again
	tier("first", object{"order": 1, "defaultAction": "Pass"})
	is("first", "Pass")
}
