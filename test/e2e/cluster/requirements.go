package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// needed are the programs of the machine that nodes use, with their Debian packages.
var needed = []struct{ program, pkg string }{
	{"runc", "runc"},
	{"nft", "nftables"},
	{"iptables", "iptables"},
	{"mount", "mount"},
	{"busybox", "busybox-static"},
}

// Packages are the Debian packages that must be installed, beside Go.
func Packages() []string {
	var packages []string
	for _, n := range needed {
		packages = append(packages, n.pkg)
	}
	return packages
}

// requirements says what this machine lacks, or nil.
func requirements() error {
	if os.Geteuid() != 0 {
		return errNeedsRoot
	}
	var missing []string
	for _, n := range needed {
		if _, err := machineProgram(n.program); err != nil {
			missing = append(missing, n.pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("packages are missing: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("go is not on the PATH")
	}
	var fs unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup/memory", &fs); err != nil || fs.Type != unix.CGROUP_SUPER_MAGIC {
		return errors.New("no cgroup v1 hierarchy at /sys/fs/cgroup/memory: nodes cannot be made on a machine with cgroup v2 only " +
			"(boot it with systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller)")
	}
	return nil
}

var errNeedsRoot = errors.New("root is needed")

// machineProgram finds a program of the machine. Root's directories may not be on
// the PATH of whoever started this.
func machineProgram(name string) (string, error) {
	dirs := append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin", "/usr/bin", "/bin")
	for _, d := range slices.Compact(dirs) {
		path := filepath.Join(d, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("no program %s on the PATH", name)
}
