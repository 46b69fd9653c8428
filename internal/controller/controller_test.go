package controller

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// start runs a controller against the API until stop is called, which gives how
// it ended.
func start(t *testing.T, f *fakeAPI, change func(*Config)) (stop func() error) {
	t.Helper()
	cfg := Config{Kube: f.config(), Identity: t.Name(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), StatusQPS: 1000}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()
	ended := false
	stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		select {
		case err := <-done:
			return err
		case <-patience():
			t.Fatal("the controller does not end")
			return nil
		}
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

// TestStatusOfPolicies follows a policy through its life.
func TestStatusOfPolicies(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	const path = gnpPath + "web"
	f.put(path, policyObject("web", object{"selector": "all()"}))
	f.put(reportPath+"n1", reportObject("n1", "", inForceObject("web", 1, 3)))
	f.put(reportPath+"n2", reportObject("n2", "", inForceObject("web", 1, 4)))
	start(t, f, nil)
	f.wait(t, "in force on 7", func(f *fakeAPI) bool {
		return f.condition(path, "Accepted") == "True Valid" && f.condition(path, "Programmed") == "True InForce" &&
			f.number(path, "endpoints") == 7 && f.number(path, "nodes") == 2 && f.number(path, "observedGeneration") == 1
	})

	f.put(path, policyObject("web", object{"selector": "a == 'b'"}))
	f.wait(t, "a new generation is not in force yet", func(f *fakeAPI) bool {
		return f.condition(path, "Programmed") == "False Pending" && f.number(path, "observedGeneration") == 2
	})
	f.put(reportPath+"n1", reportObject("n1", "", inForceObject("web", 2, 3)))
	f.put(reportPath+"n2", reportObject("n2", "the kernel says no", inForceObject("web", 1, 4)))
	f.wait(t, "one node fails", func(f *fakeAPI) bool {
		return f.condition(path, "Programmed") == "False NodeError" && f.number(path, "endpoints") == 3
	})
	f.remove(reportPath + "n2")
	f.wait(t, "the node is gone", func(f *fakeAPI) bool { return f.condition(path, "Programmed") == "True InForce" })

	f.put(path, policyObject("web", object{"selector": "a = 'b'"}))
	f.wait(t, "the policy is invalid", func(f *fakeAPI) bool {
		return f.condition(path, "Accepted") == "False Invalid" && f.condition(path, "Programmed") == "False NotAccepted" &&
			len(f.events("GlobalNetworkPolicy", "web")) == 1
	})
	f.put(path, policyObject("web", object{"selector": "all()", "tier": "nosuch"}))
	f.wait(t, "its tier is missing", func(f *fakeAPI) bool { return f.condition(path, "Accepted") == "False TierNotFound" })
	f.put("/apis/projectcalico.org/v3/tiers/nosuch", object{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": object{"name": "nosuch"}})
	f.wait(t, "its tier is there", func(f *fakeAPI) bool { return f.condition(path, "Accepted") == "True Valid" })
	f.wait(t, "the tier has a status", func(f *fakeAPI) bool {
		return f.condition("/apis/projectcalico.org/v3/tiers/nosuch", "Accepted") == "True Valid"
	})
	f.remove(path)
	f.put(path, policyObject("web", object{"selector": "all()"}))
	f.wait(t, "another policy of that name has a status", func(f *fakeAPI) bool {
		return f.condition(path, "Accepted") == "True Valid" && f.number(path, "observedGeneration") == 1
	})
}

// TestEventsOfKubernetesPolicies checks that what has no status gets an Event, and
// the same one only once, also when another controller takes over.
func TestEventsOfKubernetesPolicies(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	np := func(port any) object {
		return object{
			"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": object{"name": "db", "namespace": "default"},
			"spec": object{"podSelector": object{}, "ingress": []any{object{"ports": []any{object{"port": port}}}}},
		}
	}
	f.put(npPath+"db", np("Not-A-Name"))
	stop := start(t, f, nil)
	f.wait(t, "an Event", func(f *fakeAPI) bool { return len(f.events("NetworkPolicy", "db")) == 1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	const events = "/apis/events.k8s.io/v1/namespaces/default/events"
	before := f.written(events)
	stop = start(t, f, nil)
	f.wait(t, "the next controller to try", func(f *fakeAPI) bool {
		n := 0
		for _, w := range f.writes {
			if strings.HasSuffix(w, " "+events) {
				n++
			}
		}
		return n > before
	})
	f.put(npPath+"db", np(float64(0)))
	f.wait(t, "an Event about what is wrong now", func(f *fakeAPI) bool { return len(f.events("NetworkPolicy", "db")) == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	want := []string{
		`spec.ingress[0].ports[0].port: "Not-A-Name" is no port's name: expected at most 15 lower case letters, digits and '-', a letter among them`,
		`spec.ingress[0].ports[0].port: 0 is no port: expected a number from 1 to 65535`,
	}
	if d := cmp.Diff(want, f.events("NetworkPolicy", "db")); d != "" {
		t.Errorf("Events (-want +got):\n%s", d)
	}
}

// TestTooLarge checks that a policy that is refused for its size is said to be invalid, with
// what it does meanwhile, in its status and an Event.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	const path = gnpPath + "web"
	rules := make([]any, 20_001)
	for i := range rules {
		rules[i] = object{"action": "Allow"}
	}
	f.put(path, policyObject("web", object{"ingress": rules}))
	peers := make([]any, 20_001)
	for i := range peers {
		peers[i] = object{"podSelector": object{}}
	}
	f.put(npPath+"db", object{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": object{"name": "db", "namespace": "default"},
		"spec": object{"podSelector": object{}, "ingress": []any{object{}, object{"from": peers}}},
	})
	start(t, f, nil)
	f.wait(t, "a status and an Event of each", func(f *fakeAPI) bool {
		return f.condition(path, "Accepted") == "False Invalid" && f.condition(path, "Programmed") == "False NotAccepted" &&
			len(f.events("GlobalNetworkPolicy", "web")) == 1 && len(f.events("NetworkPolicy", "db")) == 1
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	const advice = ": split the policy, or keep nets in a NetworkSet and select it"
	want := []string{
		"spec.ingress: too large: 20001 rules (one for each peer and protocol), of at most 20000" + advice,
		"spec.ingress[1]: too large: 20002 rules (one for each peer and protocol), of at most 20000, most of them because of rule ingress[1]" + advice +
			"; until then it isolates what it selects, as if it had no rules",
	}
	if d := cmp.Diff(want, append(f.events("GlobalNetworkPolicy", "web"), f.events("NetworkPolicy", "db")...)); d != "" {
		t.Errorf("Events (-want +got):\n%s", d)
	}
}

// TestWritesOnce checks that a status that says everything is left alone, by the
// same controller and by the next one.
func TestWritesOnce(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.put(gnpPath+"a", policyObject("a", object{}))
	f.put(reportPath+"n1", reportObject("n1", "", inForceObject("a", 1, 3)))
	stop := start(t, f, nil)
	f.wait(t, "a status", func(f *fakeAPI) bool { return f.condition(gnpPath+"a", "Programmed") == "True InForce" })
	// Another policy shows that the first has had its turn.
	again := func(name string) {
		f.put(reportPath+"n1", reportObject("n1", "", inForceObject("a", 1, 3)))
		f.put(gnpPath+name, policyObject(name, object{}))
		f.wait(t, "a status of "+name, func(f *fakeAPI) bool { return f.condition(gnpPath+name, "Accepted") == "True Valid" })
	}
	again("b")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	start(t, f, nil)
	again("c")
	if n := f.written(gnpPath + "a/status"); n != 1 {
		t.Errorf("the status was written %d times, want 1", n)
	}
}

// TestWithoutStatus checks that Events are written where the kinds have no status.
func TestWithoutStatus(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.noStatus = true
	f.put(gnpPath+"a", policyObject("a", object{"selector": "x y"}))
	start(t, f, nil)
	f.wait(t, "an Event", func(f *fakeAPI) bool { return len(f.events("GlobalNetworkPolicy", "a")) == 1 })
	if n := f.written(gnpPath + "a/status"); n != 0 {
		t.Errorf("a status was written %d times where there is none", n)
	}
}

// TestRetries checks that what fails for a while is done later, and that nothing
// is written before everything has been read.
func TestRetries(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.put(gnpPath+"a", policyObject("a", object{}))
	f.put(reportPath+"n1", reportObject("n1", "", inForceObject("a", 1, 3)))
	failing := map[string]int{
		"GET /apis/projectcalico.org/v3":             1,
		"GET " + strings.TrimSuffix(gnpPath, "/"):    2, // to read the status, to follow
		"GET " + strings.TrimSuffix(reportPath, "/"): 2, // as a stream, as a list
		"PATCH " + gnpPath + "a/status":              1,
	}
	f.fail = func(method, path string) int {
		f.mu.Lock()
		defer f.mu.Unlock()
		if failing[method+" "+path]--; failing[method+" "+path] >= 0 {
			return http.StatusInternalServerError
		}
		return 0
	}
	start(t, f, nil)
	f.wait(t, "a status", func(f *fakeAPI) bool { return f.condition(gnpPath+"a", "Programmed") == "True InForce" })
	if n := f.written(gnpPath + "a/status"); n != 1 {
		t.Errorf("the status was written %d times: it said something else before all was read", n)
	}
}

// TestUnreadable checks that an object whose fields are not understood is reported
// with its present generation.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.put(gnpPath+"a", policyObject("a", object{"slector": "all()"}))
	start(t, f, nil)
	f.wait(t, "a status", func(f *fakeAPI) bool {
		return f.condition(gnpPath+"a", "Accepted") == "False Invalid" && f.number(gnpPath+"a", "observedGeneration") == 1
	})
}

// TestHandOver checks that of two controllers one leads, and that the other takes
// over when it ends, long before the Lease runs out.
func TestHandOver(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t)
	f.put(gnpPath+"a", policyObject("a", object{}))
	config := func(name string) func(*Config) {
		return func(c *Config) {
			c.Namespace, c.Identity = "system", name
			c.Lease = LeaseTiming{Duration: time.Hour, Renew: time.Minute, Retry: 50 * time.Millisecond}
		}
	}
	holder := func(name string) func(*fakeAPI) bool {
		return func(f *fakeAPI) bool {
			spec, _ := f.objects[leasePath]["spec"].(object)
			return spec != nil && spec["holderIdentity"] == name
		}
	}
	stopFirst := start(t, f, config("first"))
	f.wait(t, "the first to lead", holder("first"))
	f.wait(t, "a status", func(f *fakeAPI) bool { return f.condition(gnpPath+"a", "Accepted") == "True Valid" })
	stopSecond := start(t, f, config("second"))
	if err := stopFirst(); err != nil {
		t.Fatal(err)
	}
	f.wait(t, "the second to lead", holder("second"))
	f.put(gnpPath+"b", policyObject("b", object{}))
	f.wait(t, "a status from the second", func(f *fakeAPI) bool { return f.condition(gnpPath+"b", "Accepted") == "True Valid" })
	if err := stopSecond(); err != nil {
		t.Fatal(err)
	}
	f.wait(t, "nobody to lead", holder(""))
}
