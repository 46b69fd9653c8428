package plugin_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	_ "github.com/tierwall/tierwall/internal/cni/early" // this test is the plugin as well
	"github.com/tierwall/tierwall/internal/cni/wire"
)

// run executes the plugin as a container runtime does.
func run(t testing.TB, stdin string, env ...string) (stdout, stderr string, code int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append([]string{"CNI_CONTAINERID=c1", "CNI_NETNS=/no/such/ns", "CNI_IFNAME=eth0", "CNI_PATH=/x", "CNI_ARGS=" + podArgs}, env...)
	err = cmd.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		code = failed.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), code
}

const (
	podArgs = "IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=a;K8S_POD_UID=u1;OTHER=x"
	prev    = `{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/32"},{"address":"fd00::1/128"},{"address":"10.0.0.1/24"}],"later":{"x":[1,2.50]}}`
)

// conf returns the plugin's input, with a socket.
func conf(socket, more string) string {
	return `{"cniVersion":"1.0.0","name":"k8s","type":"tierwall","socket":"` + socket + `"` + more + `}`
}

// agent answers every request on a socket of its own.
func agent(t *testing.T, answer func(*wire.Request) wire.Reply) (socket string, asked *[]wire.Request) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked = new([]wire.Request)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if q, err := wire.ReadRequest(conn); err == nil {
				*asked = append(*asked, *q)
				_ = wire.Write(conn, answer(q))
			} else {
				t.Error(err)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return socket, asked
}

func yes(*wire.Request) wire.Reply { return wire.Reply{Version: wire.Version} }

func no(kind wire.Kind) func(*wire.Request) wire.Reply {
	return func(*wire.Request) wire.Reply { return wire.Refuse(kind, errors.New("the reason")) }
}

// TestAdd holds that the result of the plugins before is passed on to the byte, and
// what the agent is asked.
func TestAdd(t *testing.T) {
	socket, asked := agent(t, yes)
	out, errs, code := run(t, conf(socket, `,"prevResult":`+prev), "CNI_COMMAND=ADD")
	if out != prev+"\n" || errs != "" || code != 0 {
		t.Errorf("%d\n%s\n%s", code, out, errs)
	}
	if len(*asked) != 1 || (*asked)[0].Pod == nil {
		t.Fatalf("%+v", *asked)
	}
	q := (*asked)[0]
	pod := *q.Pod
	addrs := ""
	for _, a := range pod.Addrs {
		addrs += a.String() + " "
	}
	id := wire.PodID{Namespace: "web", Name: "a", UID: "u1", Attachment: wire.Attachment{Container: "c1", Interface: "eth0"}}
	if pod.PodID != id || addrs != "10.0.0.1 fd00::1 " || pod.Network != "k8s" || pod.NetNS != "/no/such/ns" || pod.Runtime == "" || q.Keep || q.WaitMillis < 15000 || q.WaitMillis > 20000 {
		t.Errorf("%+v %+v", q, pod)
	}
}

// TestVersions holds that results of all versions are passed on as they came.
func TestVersions(t *testing.T) {
	socket, asked := agent(t, yes)
	for _, version := range []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		ip := `{"version":"4","address":"10.0.0.1/24"}`
		if version >= "1" {
			ip = `{"address":"10.0.0.1/24"}`
		}
		result := `{"cniVersion":"` + version + `","ips":[` + ip + `],"dns":{}}`
		in := strings.Replace(conf(socket, `,"prevResult":`+result), "1.0.0", version, 1)
		if out, errs, code := run(t, in, "CNI_COMMAND=ADD"); out != result+"\n" || code != 0 {
			t.Errorf("%s: %d\n%s\n%s", version, code, out, errs)
		}
		// Results before 1.0.0 may lack their version.
		bare := strings.Replace(result, `"cniVersion":"`+version+`",`, "", 1)
		in = strings.Replace(conf(socket, `,"prevResult":`+bare), "1.0.0", version, 1)
		if out, errs, code := run(t, in, "CNI_COMMAND=ADD"); !strings.Contains(out, `"cniVersion": "`+version+`"`) || !strings.Contains(out, "10.0.0.1/24") || code != 0 {
			t.Errorf("%s: %d\n%s\n%s", version, code, out, errs)
		}
	}
	if len(*asked) != 10 {
		t.Errorf("asked %d times", len(*asked))
	}
	out, _, code := run(t, "", "CNI_COMMAND=VERSION")
	if want := `{"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}` + "\n"; out != want || code != 0 {
		t.Errorf("%d %s", code, out)
	}
}

// TestErrors holds what the runtime is told: one JSON object, with a code that tells whether another
// try is worth it.
func TestErrors(t *testing.T) {
	late, _ := agent(t, no(wire.Late))
	invalid, _ := agent(t, no(wire.Invalid))
	nobody := filepath.Join(t.TempDir(), "nobody.sock")
	withPrev := `,"timeout":"1s","prevResult":` + prev
	for _, tt := range []struct {
		name, command, stdin, args string
		want                       string
	}{
		{"late", "ADD", conf(late, withPrev), "", `11 tierwall: the network policy of pod web/a is not in force yet, so that it cannot start | the reason`},
		{"refused", "ADD", conf(invalid, withPrev), "", `100 tierwall: the network policy of pod web/a is not in force yet, so that it cannot start: the agent refuses the request | the reason`},
		{"no agent", "ADD", conf(nobody, withPrev), "", `11 tierwall: the network policy of pod web/a is not in force yet, so that it cannot start: no agent answers at SOCKET on this host: see whether its pod runs on this node, and its log | no agent answers: dial unix SOCKET: connect: no such file or directory`},
		{"no prevResult", "ADD", conf(late, ""), "", `7 tierwall: there is no prevResult: the plugin must come after the one that gives pods their addresses | `},
		{"prevResult null", "ADD", conf(late, `,"prevResult":null`), "", `7 tierwall: there is no prevResult: the plugin must come after the one that gives pods their addresses | `},
		{"prevResult", "ADD", conf(late, `,"prevResult":{"cniVersion":"1.0.0","ips":7}`), "", `6 tierwall: prevResult: json: cannot unmarshal number into Go struct field Result.ips of type []*types100.IPConfig | `},
		{"no addresses", "ADD", conf(late, `,"prevResult":{"cniVersion":"1.0.0"}`), "", `7 tierwall: result of the plugins before: pod web/a: has 0 addresses: expected 1 to 64 | `},
		{"no pod", "ADD", conf(late, withPrev), "IgnoreUnknown=1", `4 tierwall: CNI_ARGS has no K8S_POD_NAMESPACE and K8S_POD_NAME: policy is for pods of Kubernetes, and a sandbox of anything else cannot be told apart from one without policy | `},
		{"args", "ADD", conf(late, withPrev), "x", `4 tierwall: CNI_ARGS: ARGS: invalid pair "x" | `},
		{"configuration", "ADD", conf(late, `,"failurePolicy":"x"`), "", `7 tierwall: the plugin's configuration: failurePolicy "x": expected "closed" or "open" | `},
		{"old CNI", "ADD", strings.Replace(conf(late, withPrev), "1.0.0", "0.2.0", 1), "", `1 incompatible CNI versions | config is "0.2.0", plugin supports ["0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]`},
		{"check", "CHECK", conf(late, withPrev), "", `11 tierwall: the network policy of pod web/a cannot be said to be in force | the reason`},
		{"status", "STATUS", strings.Replace(conf(nobody, ""), "1.0.0", "1.1.0", 1), "", `50 tierwall: no pod can start before the tierwall agent of this host runs: no agent answers at SOCKET on this host: see whether its pod runs on this node, and its log | no agent answers: dial unix SOCKET: connect: no such file or directory`},
		{"gc", "GC", strings.Replace(conf(nobody, ""), "1.0.0", "1.1.0", 1), "", `11 tierwall: records of pods that have ended are kept for now: no agent answers at SOCKET on this host: see whether its pod runs on this node, and its log | no agent answers: dial unix SOCKET: connect: no such file or directory`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := podArgs
			if tt.args != "" {
				args = tt.args
			}
			out, errs, code := run(t, tt.stdin, "CNI_COMMAND="+tt.command, "CNI_ARGS="+args)
			if code != 1 || errs != "" {
				t.Errorf("exit code %d, %s", code, errs)
			}
			got := strings.ReplaceAll(failure(t, out), nobody, "SOCKET")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestWithoutAgent holds what goes on without one: the end of a pod always, its
// start if the configuration says so.
func TestWithoutAgent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	dir := wire.RecordsDir(socket)
	open := `,"timeout":"1s","failurePolicy":"open","prevResult":` + prev
	out, errs, code := run(t, conf(socket, open), "CNI_COMMAND=ADD")
	if out != prev+"\n" || code != 0 || !strings.Contains(errs, "pod web/a starts although its policy is not in the kernel") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	records, problems, err := dir.Read()
	if err != nil || problems != nil || len(records) != 1 || !records[0].Late || records[0].Name != "a" {
		t.Errorf("%v %v %v", records, problems, err)
	}
	for range 2 {
		if out, errs, code := run(t, conf(socket, ""), "CNI_COMMAND=DEL"); out+errs != "" || code != 0 {
			t.Errorf("%d %s %s", code, out, errs)
		}
	}
	if dir.Has(wire.Attachment{Container: "c1", Interface: "eth0"}) {
		t.Error("the record stays")
	}
	// Not even a configuration that is wrong keeps a pod from ending.
	if _, errs, code := run(t, conf("x", ""), "CNI_COMMAND=DEL"); code != 0 || !strings.Contains(errs, `socket "x"`) {
		t.Errorf("%d %s", code, errs)
	}
	// The directory shows that an agent has run, and the status is good.
	if _, _, code := run(t, strings.Replace(conf(socket, ""), "1.0.0", "1.1.0", 1), "CNI_COMMAND=STATUS"); code != 0 {
		t.Error("the status is bad while the agent is away")
	}
	// Pods of exempt namespaces are not held up.
	exempt := `,"exemptNamespaces":["kube-system","web"],"prevResult":` + prev
	if out, _, code := run(t, conf(socket, exempt), "CNI_COMMAND=ADD"); out != prev+"\n" || code != 0 {
		t.Errorf("%d %s", code, out)
	}
}

// TestKeep holds that an open configuration tells the agent so, and goes on with the pod
// whatever it says.
func TestKeep(t *testing.T) {
	socket, asked := agent(t, no(wire.Late))
	out, _, code := run(t, conf(socket, `,"failurePolicy":"open","prevResult":`+prev), "CNI_COMMAND=ADD")
	if out != prev+"\n" || code != 0 || len(*asked) != 1 || !(*asked)[0].Keep {
		t.Errorf("%d %s %+v", code, out, *asked)
	}
}

func TestGC(t *testing.T) {
	socket, asked := agent(t, yes)
	in := strings.Replace(conf(socket, `,"cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}]`), "1.0.0", "1.1.0", 1)
	if _, _, code := run(t, in, "CNI_COMMAND=GC"); code != 0 || len(*asked) != 1 {
		t.Fatalf("%d %+v", code, *asked)
	}
	if q := (*asked)[0]; q.Network != "k8s" || !slices.Equal(q.Valid, []wire.Attachment{{Container: "c1", Interface: "eth0"}}) {
		t.Errorf("%+v", q)
	}
}

// TestResultProperty holds that any result is passed on to the byte.
func TestResultProperty(t *testing.T) {
	socket, _ := agent(t, yes)
	rapid.Check(t, func(rt *rapid.T) {
		space := rapid.SampledFrom([]string{"", " ", "\n  "}).Draw(rt, "space")
		result := `{` + space + `"cniVersion":"1.0.0",` + space + `"ips":[{"address":` + rapid.SampledFrom([]string{`"10.0.0.1/32"`, `"fd00::1/64"`, `"\u0031.2.3.4/0"`}).Draw(rt, "address") + `}]`
		if rapid.Bool().Draw(rt, "more") {
			result += `,"interfaces":[{"name":"x","sandbox":"/y","mtu":1500}],"unknown":` + rapid.SampledFrom([]string{`null`, `"é\n"`, `[1e400]`, `{"a":{}}`}).Draw(rt, "unknown")
		}
		result += space + "}"
		out, errs, code := run(t, conf(socket, `,"prevResult":`+result), "CNI_COMMAND=ADD")
		if out != result+"\n" || code != 0 {
			rt.Fatalf("%d\n%s\n%s\n%s", code, result, out, errs)
		}
	})
}
