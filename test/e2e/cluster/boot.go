package cluster

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tierwall/tierwall/test/e2e/internal/keeper"
)

// machineSettings are what a kubelet sets for the whole machine. A node sees files
// with what it wants, and the machine's stay as they are.
var machineSettings = map[string]string{
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxbytes": "25000000",
	"kernel/keys/root_maxkeys":  "1000000",
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
}

// bootIDFile tells one boot of a machine from the next.
const bootIDFile = "kernel/random/boot_id"

// boot makes the host's namespaces, and its network.
func (n *Node) boot() error {
	spec := keeper.Host{Name: n.name}
	if n.index > 0 {
		mounts, err := n.mounts()
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		spec.Mounts = mounts
		if err := n.makeGroups(); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	h, err := newHost(n.cluster.parts, n.cluster.dir, spec)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.host = h
	n.mu.Unlock()
	if n.index == 0 {
		err = n.cluster.makeSwitch(h)
	} else {
		err = n.cluster.plugIn(n, h)
	}
	if err != nil {
		return fmt.Errorf("%s: network: %w", n.name, err)
	}
	return nil
}

// mounts returns the node's mounts. What they need is on its disk.
func (n *Node) mounts() ([]keeper.Mount, error) {
	disk := n.disk()
	bind := func(name, target string) keeper.Mount {
		return keeper.Mount{Kind: keeper.Bind, Source: filepath.Join(disk, name), Target: target}
	}
	overlay := func(name, target string) keeper.Mount {
		return keeper.Mount{Kind: keeper.Overlay, Source: filepath.Join(disk, name), Target: target}
	}
	mounts := []keeper.Mount{
		{Kind: keeper.Tmpfs, Target: "/run"},
		overlay("etc", "/etc"),
		overlay("opt", "/opt"),
		overlay("var-lib", "/var/lib"),
		bind("log", "/var/log"),
		bind("kubelet", "/var/lib/kubelet"),
		bind("containerd", "/var/lib/containerd"), // no overlay: containers have theirs in it
		bind("cni/net.d", "/etc/cni/net.d"),
		bind("cni/bin", "/opt/cni/bin"),
	}
	for _, m := range mounts {
		if m.Kind == keeper.Bind {
			if err := os.MkdirAll(m.Source, 0o755); err != nil {
				return nil, err
			}
		}
	}
	settings, err := n.settings()
	if err != nil {
		return nil, err
	}
	mounts = append(mounts, settings...)
	return append(mounts,
		keeper.Mount{Kind: keeper.Sysfs, Target: "/sys"},
		// Volumes, and network namespaces below /run/netns, are mounted when containers that must see
		// them run already.
		keeper.Mount{Kind: keeper.Shared, Target: "/"},
	), nil
}

// settings returns the mounts over machineSettings and the number of this boot.
func (n *Node) settings() ([]keeper.Mount, error) {
	values := map[string]string{bootIDFile: newBootID()}
	for file, value := range machineSettings {
		values[file] = value
	}
	var mounts []keeper.Mount
	for file, value := range values {
		target := filepath.Join("/proc/sys", file)
		if !exists(target) {
			continue // kernels differ
		}
		source := n.settingFile(file)
		if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(source, []byte(value+"\n"), 0o644); err != nil {
			return nil, err
		}
		mounts = append(mounts, keeper.Mount{Kind: keeper.Bind, Source: source, Target: target})
	}
	return mounts, nil
}

func (n *Node) settingFile(file string) string { return filepath.Join(n.disk(), "settings", file) }

// bootID is what the node's kubelet says in its status when it runs in this boot.
func (n *Node) bootID() string {
	b, _ := os.ReadFile(n.settingFile(bootIDFile)) // boot wrote it
	return strings.TrimSpace(string(b))
}

func newBootID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// group is the node's control group, the root of its pods'.
func (n *Node) group() string { return filepath.Join(keeper.GroupName(n.cluster.dir), n.name) }

// makeGroups makes the node's control group in every hierarchy.
func (n *Node) makeGroups() error {
	dirs, err := keeper.Groups(n.group())
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		for _, d := range []string{filepath.Dir(dir), dir} {
			if err := makeGroup(d); err != nil {
				return fmt.Errorf("control group: %w", err)
			}
		}
	}
	return nil
}

func makeGroup(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// A new cpuset is empty, and takes no process until it is not.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), value, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) removeGroups() error { return keeper.RemoveGroups(n.group()) }
