package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// recipe is what making parts takes.
type recipe struct {
	ctx      context.Context
	parts    *Parts
	module   string // the directory of test/e2e
	progress io.Writer
}

// kubePrograms are the names by which the program kube is called.
var kubePrograms = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"}

const kubernetesModule = "k8s.io/kubernetes"

func buildCluster(r recipe) error {
	version, err := r.version(kubernetesModule)
	if err != nil {
		return err
	}
	// One command for many programs: what they share is compiled once, and both
	// small and large ones are linked side by side.
	err = r.step("Kubernetes "+version+", etcd and containerd", func() error {
		return r.goCommand("parts", "build", "-ldflags", versionFlags(version), "-o", r.bin(),
			"./kube", "./etcd",
			"github.com/containerd/containerd/v2/cmd/containerd",
			"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
			"github.com/containerd/containerd/v2/cmd/ctr",
			"github.com/containernetworking/plugins/plugins/ipam/host-local",
			"github.com/containernetworking/plugins/plugins/main/loopback",
			"github.com/containernetworking/plugins/plugins/main/bridge",
			"github.com/containernetworking/plugins/plugins/main/ptp",
			"github.com/containernetworking/plugins/plugins/meta/portmap",
			kubernetesModule+"/test/images/agnhost")
	})
	if err != nil {
		return err
	}
	for _, name := range kubePrograms {
		if err := os.Symlink("kube", r.parts.Program(name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return r.step("images", func() error {
		if err := r.goCommand(".", "build", "-ldflags", "-s -w", "-o", r.bin(), "./cmd/keeper"); err != nil {
			return err
		}
		return writeImages(r.parts)
	})
}

func buildSuite(r recipe) error {
	return r.step("the upstream test suite", func() error {
		if err := r.goCommand("parts", "build", "-ldflags", "-s -w", "-o", r.bin(), "github.com/onsi/ginkgo/v2/ginkgo"); err != nil {
			return err
		}
		return r.goCommand("parts", "test", "-c", "-ldflags", "-s -w", "-o", r.bin(), kubernetesModule+"/test/e2e")
	})
}

func (r recipe) bin() string { return filepath.Join(r.parts.dir, "bin") + "/" }

// say is for who waits. If nobody can be told, the work goes on.
func (r recipe) say(format string, args ...any) { _, _ = fmt.Fprintf(r.progress, format+"\n", args...) }

// step runs f and says how long it took.
func (r recipe) step(what string, f func() error) error {
	r.say("building %s", what)
	start := time.Now()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	r.say("built %s: %.0f s", what, time.Since(start).Seconds())
	return nil
}

// versionFlags make the programs say which version they are: clients and servers
// decide by it what to use of each other.
func versionFlags(version string) string {
	numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	flags := "-s -w"
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags += fmt.Sprintf(" -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s", pkg, version, numbers[0], numbers[1])
	}
	return flags
}

// version is the version of a module that the parts are made from.
func (r recipe) version(module string) (string, error) {
	out, err := r.command("parts", "list", "-m", "-f", "{{.Version}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// command is a go command in a directory of the module.
func (r recipe) command(dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(r.ctx, "go", args...)
	cmd.Dir = filepath.Join(r.module, dir)
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly -buildvcs=false -trimpath")
	return cmd
}

// goCommand runs a go command; an error has what it printed.
func (r recipe) goCommand(dir string, args ...string) error {
	cmd := r.command(dir, args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		var lines []string
		for line := range strings.Lines(output.String()) {
			if !strings.HasPrefix(line, "go: downloading") {
				lines = append(lines, line)
			}
		}
		return fmt.Errorf("go %s: %w\n%s", args[0], err, strings.Join(lines, ""))
	}
	return nil
}
