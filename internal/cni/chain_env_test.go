package cni

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	_ "github.com/tierwall/tierwall/internal/cni/early" // this test is the plugin as well
	"github.com/tierwall/tierwall/internal/cni/wire"
	"github.com/tierwall/tierwall/internal/lab"
)

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // tests that need a lab skip
	}
	os.Exit(m.Run())
}

// pluginDirs is where distributions and clusters keep the plugins of the CNI project.
var pluginDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// runtimeNode is a node with a container runtime's use of CNI, in a network namespace of
// its own.
type runtimeNode struct {
	*testServer
	t    testing.TB
	node *lab.Host
	cni  *libcni.CNIConfig
	dir  string
}

// newRuntimeNode makes a node, without an agent yet.
func newRuntimeNode(t testing.TB) *runtimeNode {
	t.Helper()
	lab.Require(t)
	plugins := ""
	for _, dir := range slices.Backward(pluginDirs) {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			plugins = dir
		}
	}
	if plugins == "" {
		const missing = "this test needs the CNI plugins ptp, bridge and host-local (Debian: containernetworking-plugins)"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip("SKIPPED, NOTHING TESTED: " + missing)
	}
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if program := os.Getenv("TIERWALL"); program != "" { // to measure the real one
		self = program
	}
	bin := filepath.Join(dir, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o755), os.Symlink(self, filepath.Join(bin, wire.PluginType))); err != nil {
		t.Fatal(err)
	}
	// Given, since what makes it when it is missing is not for several goroutines.
	exec := &invoke.DefaultExec{RawExec: &invoke.RawExec{Stderr: os.Stderr}}
	return &runtimeNode{
		t: t, node: l.Node(), dir: dir,
		cni: libcni.NewCNIConfigWithCacheDir([]string{bin, plugins}, filepath.Join(dir, "cache"), exec),
	}
}

func (n *runtimeNode) socket() string { return filepath.Join(n.dir, "cni.sock") }

// startAgent starts a server that sees the node's interfaces.
func (n *runtimeNode) startAgent(t *testing.T, enforcer Enforcer) {
	t.Helper()
	n.testServer = startServer(t, n.socket(), enforcer, func(s *Server) {
		s.pods.linkExists = func(index int) (exists bool, err error) {
			doErr := n.node.Do(func() error { exists, err = linkExists(index); return nil })
			return exists, errors.Join(err, doErr)
		}
	})
}

// list returns a network: main is ptp or bridge, and ours comes last.
func (n *runtimeNode) list(version, main, ours string) *libcni.NetworkConfigList {
	n.t.Helper()
	text := fmt.Sprintf(`{"cniVersion": %q, "name": "net-%s", "plugins": [
	  {"type": %q, "bridge": "tw-br", "isGateway": true, "ipMasq": false, "ipam": {"type": "host-local", "dataDir": %q,
	    "ranges": [[{"subnet": "10.77.0.0/16"}], [{"subnet": "fd00:77::/64"}]], "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}}]}`,
		version, main, main, filepath.Join(n.dir, "ipam"))
	if main == "fixed" { // a plugin of the newest version, which not all distributions have
		text = fmt.Sprintf(`{"cniVersion": %q, "name": "net-%s", "plugins": [{"type": "fixed"}]}`, version, main)
		script := `#!/bin/sh
case $CNI_COMMAND in
ADD) echo '{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"x"}],"ips":[{"address":"10.9.0.2/24","interface":0}]}' ;;
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["1.1.0"]}' ;;
esac
`
		if err := os.WriteFile(filepath.Join(n.dir, "bin", "fixed"), []byte(script), 0o755); err != nil {
			n.t.Fatal(err)
		}
	}
	path := filepath.Join(n.dir, "10-net.conflist")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if ours != "" {
		text = strings.TrimSuffix(strings.TrimSpace(text), "]}") + ", " + ours + "]}"
	}
	list, err := libcni.NetworkConfFromBytes([]byte(text))
	if err != nil {
		n.t.Fatal(err)
	}
	return list
}

// ours is the plugin's entry, as the installer writes it.
func (n *runtimeNode) ours(more string) string {
	return fmt.Sprintf(`{"type": "tierwall", "socket": %q%s}`, n.socket(), more)
}

// sandbox is a pod's network namespace, with what the runtime says about it.
type sandbox struct {
	*libcni.RuntimeConf
	ns netns.NsHandle
}

func (n *runtimeNode) newSandbox(container, pod string) sandbox {
	n.t.Helper()
	made := make(chan netns.NsHandle)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		ns, err := netns.New()
		for _, which := range []string{"all", "default"} {
			// Plugins wait until addresses are known to be nobody else's, which takes seconds.
			err = errors.Join(err, os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/accept_dad", []byte("0"), 0))
		}
		if err != nil {
			n.t.Error(err)
		}
		made <- ns
	}()
	ns := <-made
	n.t.Cleanup(func() { _ = ns.Close() })
	return sandbox{&libcni.RuntimeConf{
		ContainerID: container, NetNS: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(ns)), IfName: "eth0",
		Args: [][2]string{
			{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", "web"}, {"K8S_POD_NAME", pod},
			{"K8S_POD_INFRA_CONTAINER_ID", container}, {"K8S_POD_UID", "uid-" + pod},
		},
	}, ns}
}

func (n *runtimeNode) add(ctx context.Context, list *libcni.NetworkConfigList, s sandbox) (result *types100.Result, err error) {
	err = n.node.Do(func() error {
		r, err := n.cni.AddNetworkList(ctx, list, s.RuntimeConf)
		if err == nil {
			result, err = types100.NewResultFromResult(r)
		}
		return err
	})
	return result, err
}

func (n *runtimeNode) del(ctx context.Context, list *libcni.NetworkConfigList, s sandbox) error {
	return n.node.Do(func() error { return n.cni.DelNetworkList(ctx, list, s.RuntimeConf) })
}

func (n *runtimeNode) links() []string {
	n.t.Helper()
	var names []string
	err := n.node.Do(func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			if l.Type() == "veth" {
				names = append(names, l.Attrs().Name)
			}
		}
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return names
}
