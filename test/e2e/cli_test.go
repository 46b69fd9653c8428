package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// shell runs programs as a person at a workstation does: with a kubeconfig of several contexts, and tierwall,
// kubectl and the plugin in the path.
type shell struct {
	c          *cluster.Cluster
	dir        string // of programs
	kubeconfig string
	home       string
}

// newShell installs the program under both of its names, and the completion for kubectl by what the program says
// of it. The current context is "here", of the administrator in namespace shop.
func newShell(t *testing.T, c *cluster.Cluster) *shell {
	t.Helper()
	s := &shell{c: c, dir: stage.Binary(t), home: t.TempDir()}
	s.kubeconfig = filepath.Join(s.home, "config")
	must(t, os.Symlink("tierwall", filepath.Join(s.dir, "kubectl-tierwall")))
	must(t, os.WriteFile(filepath.Join(s.dir, "kubectl_complete-tierwall"), []byte(s.ok(t, "tierwall completion kubectl").stdout), 0o755))

	config, err := clientcmd.LoadFromFile(c.Kubeconfig())
	must(t, err)
	me := config.Contexts[config.CurrentContext]
	for _, user := range []string{"vera", "nobody"} {
		as := config.AuthInfos[me.AuthInfo].DeepCopy()
		as.Impersonate = user
		config.AuthInfos[user] = as
	}
	config.Contexts = map[string]*clientcmdapi.Context{
		"here":   {Cluster: me.Cluster, AuthInfo: me.AuthInfo, Namespace: "shop"},
		"there":  {Cluster: me.Cluster, AuthInfo: me.AuthInfo, Namespace: "test"},
		"vera":   {Cluster: me.Cluster, AuthInfo: "vera", Namespace: "shop"},
		"nobody": {Cluster: me.Cluster, AuthInfo: "nobody", Namespace: "shop"},
	}
	config.CurrentContext = "here"
	must(t, clientcmd.WriteToFile(*config, s.kubeconfig))
	return s
}

// answer is what a program printed, and its exit code.
type answer struct {
	stdout, stderr string
	code           int
}

// run runs a command line, which is split at blanks.
func (s *shell) run(t *testing.T, line string, env ...string) answer {
	t.Helper()
	args := strings.Fields(line)
	if args[0] != "kubectl" {
		args[0] = filepath.Join(s.dir, args[0])
	}
	cmd := s.c.ControlPlane().Command(t.Context(), args[0], args[1:]...)
	for i, v := range cmd.Env {
		if rest, ok := strings.CutPrefix(v, "PATH="); ok {
			cmd.Env[i] = "PATH=" + s.dir + ":" + rest
		}
	}
	cmd.Env = append(append(cmd.Env, "HOME="+s.home, "KUBECONFIG="+s.kubeconfig), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", line, err)
	}
	return answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// ok runs what must succeed.
func (s *shell) ok(t *testing.T, line string, env ...string) answer {
	t.Helper()
	a := s.run(t, line, env...)
	if a.code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", line, a.code, a.stdout, a.stderr)
	}
	return a
}

// asked is a command line and what must come of it.
type asked struct {
	line           string
	code           int
	stdout, stderr []string // what they hold
	never          []string // what neither holds
	env            []string
}

func (s *shell) ask(t *testing.T, table []asked) {
	t.Helper()
	for _, q := range table {
		a := s.run(t, q.line, q.env...)
		wrong := a.code != q.code
		for _, text := range q.stdout {
			wrong = wrong || !strings.Contains(a.stdout, text)
		}
		for _, text := range q.stderr {
			wrong = wrong || !strings.Contains(a.stderr, text)
		}
		wrong = wrong || slices.ContainsFunc(q.never, func(text string) bool { return strings.Contains(a.stdout+a.stderr, text) })
		if wrong {
			t.Errorf("%s\nexit code %d, expected %d, %q, %q and never %q; it printed\n%s\nand as errors\n%s", q.line, a.code, q.code, q.stdout, q.stderr, q.never, a.stdout, a.stderr)
		}
	}
}

const cliObjects = `
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: test}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: test}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: right, namespace: test}
spec:
  podSelector: {matchLabels: {app: right}}
  ingress: [{from: [{podSelector: {matchLabels: {app: left}}}]}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.db, namespace: shop}
spec:
  order: 10
  selector: app == 'db'
  types: [Ingress]
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [5432]}}
`

const cliWrong = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.wrong, namespace: test}
spec: {selector: "a = b"}
`

// cliNodes is what the role view of Kubernetes does not have, and explain needs.
const cliNodes = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-nodes}
rules:
- {apiGroups: [""], resources: [nodes], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reads-nodes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads-nodes}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: vera}]
`

// TestCLI asks a cluster what is asked at workstations, of an API server as it is. How each question is answered in
// all cases is for the scripts of internal/cli, with an API server that is none.
func TestCLI(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	must(t, c.Apply(t.Context(), installManifest(t)))
	kubectl(t, c, "wait", "--for=condition=Established", "--timeout=60s", "crd", "-l", "app.kubernetes.io/part-of=tierwall")
	apply(t, c, cliObjects)
	eventually(t, "custom resources", func() error { return c.Apply(t.Context(), cliWrong) })
	client := kubernetes.NewForConfigOrDie(c.Config())
	for i, pod := range []string{"shop/web", "shop/db", "test/left", "test/right"} {
		namespace, name, _ := strings.Cut(pod, "/")
		boundPod(t, client, namespace, name, "10.9.0."+string(rune('1'+i)))
	}
	kubectl(t, c, "create", "clusterrolebinding", "vera", "--clusterrole=view", "--user=vera")
	s := newShell(t, c)
	t.Run("questions", func(t *testing.T) { s.ask(t, cliQuestions) })
	t.Run("plugin", func(t *testing.T) { testPlugin(t, s) })
	t.Run("rights", func(t *testing.T) { testRights(t, c, s) })
	t.Run("default deny", func(t *testing.T) { testDefaultDeny(t, s) })
}

var cliQuestions = []asked{
	// What is wrong anywhere may be what decides.
	{line: "tierwall explain --store kube --from shop/web --to shop/db --port 5432", code: 2,
		stderr: []string{"NetworkPolicy test/default.wrong: spec.selector: column 3", "--keep-going"}},
	{line: "tierwall explain --store kube --keep-going --from shop/web --to shop/db --port 5432",
		stdout: []string{"ALLOWED  shop/Pod/web (10.9.0.1) -> shop/Pod/db (10.9.0.2), TCP port 5432"}},
	{line: "tierwall explain --store kube --keep-going --from shop/web --to shop/db --port 5433", code: 1,
		stdout: []string{"DENIED  ", "NetworkPolicy shop/default.db (order 10) generation 1"}},
	{line: "tierwall explain --store kube --keep-going --from shop/web --to shop/db --port 5433 -o json", code: 1,
		stdout: []string{`"verdict": "Deny"`}},

	// A name without a namespace is in that of the context, or of -n.
	{line: "tierwall explain --store kube --keep-going --from web --to db --port 5432", stdout: []string{"ALLOWED"}},
	{line: "tierwall explain --store kube --keep-going --context there --from left --to right --port 80", stdout: []string{"ALLOWED  test/Pod/left"}},
	{line: "tierwall explain --store kube --keep-going -n test --from left --to right --port 80", stdout: []string{"ALLOWED  test/Pod/left"}},
	{line: "tierwall explain --store kube --keep-going -n test --from web --to right --port 80", code: 2, stderr: []string{`did you mean "shop/Pod/web"?`}},

	{line: "tierwall validate --store kube", stderr: []string{"only namespace shop and what is in none are checked"}},
	{line: "tierwall validate --store kube -A", code: 1,
		stdout: []string{"NetworkPolicy test/default.wrong (generation 1): spec.selector: column 3: "}, never: []string{"only namespace"}},
	{line: "tierwall validate --store kube -n test", code: 1, stdout: []string{"test/default.wrong"}},
	{line: "tierwall validate --store kube --context there", code: 1, stdout: []string{"test/default.wrong"}},
	{line: "tierwall validate --store kube -n nowhere", code: 2, stderr: []string{`namespace "nowhere" does not exist`}},

	{line: "tierwall reach --store kube", code: 2, stderr: []string{"test/default.wrong: spec.selector"}},
	{line: "tierwall reach --store kube --keep-going", stdout: []string{"TCP 5432"}, stderr: []string{"only connections from and to namespace shop are shown"}},
	{line: "tierwall reach --store kube --keep-going -n test", stdout: []string{"test/Pod/left"}},
	{line: "tierwall reach --store kube --keep-going -A", stdout: []string{"TCP 5432", "test/Pod/left"}, never: []string{"only connections"}},

	// Which cluster.
	{line: "tierwall validate --store kube --context nobdy", code: 2, stderr: []string{`the kubeconfig has no such context; did you mean "nobody"?`}},
	{line: "tierwall validate --store kube --kubeconfig nowhere", code: 2, stderr: []string{"nowhere: no such file or directory"}},
	{line: "tierwall validate --store kube", code: 2, env: []string{"KUBECONFIG=/nonexistent/config"}, stderr: []string{"no cluster is known: --kubeconfig, $KUBECONFIG and ~/.kube/config name none"}},
	{line: "tierwall validate --store kube --server https://172.29.0.1:9", code: 2, stderr: []string{"https://172.29.0.1:9", "cannot be reached", "connection refused"}},
	// Names are completed.
	{line: "tierwall __complete explain --store kube --from shop/", stdout: []string{"shop/db\n", "shop/web\n"}, never: []string{"test/"}},
	{line: "tierwall __complete validate --context th", stdout: []string{"there\n"}},
	// What kubectl does is left to it.
	{line: "tierwall get netpol --store kube", code: 2, stderr: []string{"kubectl get"}},
}

// testPlugin runs the program as a plugin of kubectl.
func testPlugin(t *testing.T, s *shell) {
	s.ask(t, []asked{
		{line: "kubectl plugin list", stdout: []string{"/kubectl-tierwall"}},
		{line: "kubectl tierwall --help", stdout: []string{"  kubectl tierwall [command]"}},
		{line: "kubectl tierwall validate", stderr: []string{"only namespace shop and what is in none are checked"}},
		{line: "kubectl tierwall validate -A", code: 1, stdout: []string{"test/default.wrong"}},
		{line: "kubectl tierwall explain --keep-going --from web --to db --port 5432", stdout: []string{"ALLOWED  shop/Pod/web"}},
		{line: "kubectl tierwall explain --keep-going --from web --to db --port 5433", code: 1, stdout: []string{"DENIED"}},
		{line: "kubectl tierwall reach --keep-going -n test", stdout: []string{"test/Pod/left"}},
		{line: "kubectl tierwall explian", code: 2, stderr: []string{`did you mean "explain"?`, "kubectl tierwall --help"}},
		// Another cluster than the current one, as for every command of kubectl.
		{line: "kubectl tierwall validate --context there", code: 1, stdout: []string{"test/default.wrong"}},
		{line: "kubectl tierwall validate --kubeconfig " + s.kubeconfig, env: []string{"KUBECONFIG="}, stderr: []string{"only namespace shop"}},
		// kubectl completes the plugin's name, and lets the plugin complete the rest.
		{line: "kubectl __complete tier", stdout: []string{"tierwall"}},
		{line: "kubectl __complete tierwall expl", stdout: []string{"explain"}},
		{line: "kubectl __complete tierwall explain --from shop/", stdout: []string{"shop/db\n", "shop/web\n"}, never: []string{"test/"}},
	})
}

// testRights has users who may not read all that decides: they get an error that says what they lack, and no answer.
func testRights(t *testing.T, c *cluster.Cluster, s *shell) {
	const question = " --from shop/web --to shop/db --port 5432"
	for _, program := range []string{"tierwall explain --store kube", "kubectl tierwall explain"} {
		s.ask(t, []asked{
			{line: program + " --context nobody" + question, code: 2,
				stderr: []string{`User "nobody" cannot list resource "pods"`, `a role of the user needs the rule {apiGroups: [""], resources: ["pods"], verbs: ["list"`}, never: []string{"ALLOWED"}},
			{line: program + " --context vera" + question, code: 2,
				stderr: []string{`User "vera" cannot list resource "nodes"`, `{apiGroups: [""], resources: ["nodes"], verbs: ["list"`}, never: []string{"ALLOWED", `"pods"`}},
		})
	}
	// In one namespace, view is enough to check policies.
	s.ask(t, []asked{{line: "tierwall validate --store kube --context vera"}})
	apply(t, c, cliNodes)
	s.ask(t, []asked{{line: "tierwall explain --store kube --keep-going --context vera" + question, stdout: []string{"ALLOWED"}}})
}

// testDefaultDeny applies what init writes, and asks what has become of it.
func testDefaultDeny(t *testing.T, s *shell) {
	file := filepath.Join(s.home, "deny.yaml")
	s.ok(t, "tierwall init default-deny -o "+file)
	s.ok(t, "kubectl apply --server-side -f "+file)
	s.ask(t, []asked{
		{line: "tierwall validate --store kube"},
		{line: "kubectl tierwall explain --keep-going --from shop/web --to shop/db --port 5432", code: 1, stdout: []string{"egress denied by the end of tier default"}},
	})
	s.ok(t, "kubectl delete -f "+file)
	s.ask(t, []asked{{line: "kubectl tierwall explain --keep-going --from shop/web --to shop/db --port 5432", stdout: []string{"ALLOWED"}}})
}
