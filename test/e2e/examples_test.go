package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/tierwall/tierwall/examples"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// notPlayed are examples that this is no place for, and why.
var notPlayed = map[string]string{
	"hosts":    "a machine without Kubernetes; testHosts has a node",
	"requests": "its EndpointSlice is written by hand; testRequests and testServiceRules have the like",
}

// example is a folder of examples/.
type example struct {
	manifests
	expected struct {
		Connections []exampleRow
		Then        *struct {
			Apply       string
			Connections []exampleRow
		}
	}
}

// manifests are those of an example by what is done with them: pods are made as this cluster has them.
type manifests struct {
	namespaces, policies string
	pods                 []corev1.Pod
}

func (m *manifests) add(t *testing.T, text []byte) {
	t.Helper()
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		var pod corev1.Pod
		must(t, yaml.Unmarshal(doc, &pod))
		switch pod.Kind {
		case "":
		case "Pod":
			m.pods = append(m.pods, pod)
		case "Namespace":
			m.namespaces += "---\n" + string(doc) + "\n"
		default:
			m.policies += "---\n" + string(doc) + "\n"
		}
	}
}

// exampleRow is a connection that an example promises to be allowed or denied.
type exampleRow struct {
	From, To, Protocol string
	Port, SourcePort   uint16
	Family             int
	HTTP               any
	Verdict            string
}

// testExamples applies the examples one after the other as they are, with pods that are real, and makes the connections that
// they promise.
func testExamples(t *testing.T, w *world) {
	installClusterPolicies(t, w.c)
	folders, err := fs.ReadDir(examples.FS, ".")
	must(t, err)
	for _, f := range folders {
		if why := notPlayed[f.Name()]; why != "" {
			t.Logf("not played: %s: %s", f.Name(), why)
			continue
		}
		begun := time.Now()
		e := readExample(t, f.Name())
		rows := w.play(t, e)
		t.Logf("%s: %d connections in %s", f.Name(), rows, time.Since(begun).Round(100*time.Millisecond))
		if t.Failed() {
			return
		}
	}
	w.forget(t)
}

func readExample(t *testing.T, name string) *example {
	t.Helper()
	e := &example{}
	files, err := fs.Glob(examples.FS, name+"/*.yaml")
	must(t, err)
	for _, file := range files {
		text, err := fs.ReadFile(examples.FS, file)
		must(t, err)
		if strings.HasSuffix(file, "/expected.yaml") {
			must(t, yaml.Unmarshal(text, &e.expected))
			continue
		}
		e.add(t, text)
	}
	return e
}

// play puts the cluster into the state of an example, and gives how many connections were made.
func (w *world) play(t *testing.T, e *example) int {
	t.Helper()
	w.forget(t)
	w.apply(t, &e.manifests)
	n := w.connect(t, e.expected.Connections)
	if then := e.expected.Then; then != nil {
		var more manifests
		more.add(t, []byte(then.Apply))
		w.apply(t, &more)
		n += w.connect(t, then.Connections)
	}
	return n
}

func (w *world) apply(t *testing.T, m *manifests) {
	t.Helper()
	if m.namespaces != "" {
		must(t, w.c.Apply(t.Context(), m.namespaces))
	}
	w.setPods(t, m.pods)
	if m.policies != "" {
		must(t, w.c.Apply(t.Context(), m.policies))
		w.applied += m.policies
	}
}

// forget takes away the policies of the last example. Its pods stay for the next, which may have the same.
func (w *world) forget(t *testing.T) {
	t.Helper()
	if w.applied == "" {
		return
	}
	cmd := w.outside.Command(t.Context(), "kubectl", "delete", "--ignore-not-found", "--wait=false", "-f", "-")
	cmd.Stdin = strings.NewReader(w.applied)
	_, err := cmd.Output()
	must(t, err)
	w.applied = ""
}

// setPods makes the pods that are not there, and gives those that are their labels. Every other one is on node 1.
func (w *world) setPods(t *testing.T, pods []corev1.Pod) {
	t.Helper()
	var made []corev1.Pod
	for _, p := range pods {
		s := stage.InSpace(t, w.c, p.Namespace)
		key := p.Namespace + "/" + p.Name
		if w.pods[key] != nil {
			s.RelabelPod(p.Name, p.Labels)
			continue
		}
		s.CreatePod(stage.PodSpec{Name: p.Name, Node: len(w.pods)%2 + 1, Labels: p.Labels, Ports: p.Spec.Containers[0].Ports})
		w.pods[key] = &stage.Pod{}
		made = append(made, p)
	}
	for _, p := range made {
		w.pods[p.Namespace+"/"+p.Name] = stage.InSpace(w.t, w.c, p.Namespace).WaitPod(p.Name)
	}
}

// connect makes connections until all fare as they should, at most as long as patience lasts: a change takes its time.
func (w *world) connect(t *testing.T, rows []exampleRow) int {
	t.Helper()
	rows = slices.DeleteFunc(slices.Clone(rows), func(r exampleRow) bool {
		return r.Family == 6 || strings.Contains(r.From+r.To, ":") || r.HTTP != nil // this cluster has IPv4 only
	})
	for i := range rows {
		if err := w.serve(&rows[i]); err != nil {
			t.Fatalf("%+v: %v", rows[i], err)
		}
	}
	eventually(t, "the connections that are promised", func() error {
		var group errgroup.Group
		group.SetLimit(16)
		errs := make([]error, len(rows))
		for i := range rows {
			group.Go(func() error { errs[i] = w.try(&rows[i]); return nil })
		}
		_ = group.Wait()
		return errors.Join(errs...)
	})
	return len(rows)
}

// place is where an end of a row is: a pod, a node, or an address outside.
func (w *world) place(end string) (stage.Place, netip.Addr, error) {
	if p := w.pods[end]; p != nil {
		return p, p.Addr, nil
	}
	if end == "node/node-1" {
		return nil, netip.Addr{}, nil // whichever the pod is on
	}
	addr, err := netip.ParseAddr(end)
	return w.outside, addr, err
}

// serve has somebody answer at the far end of a row.
func (w *world) serve(r *exampleRow) error {
	where, addr, err := w.place(r.To)
	if err != nil || r.Protocol == "ICMP" {
		return err
	}
	at := netip.AddrPortFrom(addr, r.Port)
	if w.servers[at] == nil {
		w.servers[at] = stage.Serve(w.t, where, addr, r.Port)
	}
	return nil
}

// try makes the connection of a row, and has an error if it does not fare as it should.
func (w *world) try(r *exampleRow) error {
	from, src, err := w.place(r.From)
	if err != nil {
		return err
	}
	_, dst, err := w.place(r.To)
	if err != nil {
		return err
	}
	if from == nil {
		node := w.pods[r.To].Node
		from, src = node, node.IP()
	}
	wait := 3 * time.Second
	if r.Verdict == "Deny" {
		wait = 400 * time.Millisecond
	}
	protocol := strings.ToLower(r.Protocol)
	if protocol == "" {
		protocol = "tcp"
	}
	err = stage.Try(from, protocol, netip.AddrPortFrom(src, r.SourcePort), netip.AddrPortFrom(dst, r.Port), wait)
	if (err == nil) != (r.Verdict == "Allow") {
		return fmt.Errorf("%s -> %s %s %d must be %s: %w", r.From, r.To, protocol, r.Port, r.Verdict, errors.Join(err, errIfNone(err)))
	}
	return nil
}

func errIfNone(err error) error {
	if err == nil {
		return errors.New("it gets through")
	}
	return nil
}
