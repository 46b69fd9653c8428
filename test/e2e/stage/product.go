// Package stage puts what tests need into a cluster: tierwall itself, namespaces and pods, and
// traffic whose every packet is accounted for.
package stage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tierwall/tierwall/test/e2e/cluster"
)

// Patience bounds what a test waits for. It says how long something may take on a machine that is
// busy, and nothing of how long it should.
const Patience = 3 * time.Minute

// SystemNamespace is where tierwall runs.
const SystemNamespace = "tierwall-system"

// Repository is the name of the images that tests build, without the tag.
const Repository = "localhost/tierwall"

// Dev is the version of the sources as they are.
const Dev = "dev"

// root is the directory of the repository.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(file))))
}

// images are the archives that Image has built in this process, by version, and the program in that of Dev.
var images struct {
	sync.Mutex
	archives map[string]string
	program  string
}

// Image builds the container image of the sources as they are, with the tag version, and gives its
// archive. With $TIERWALL_E2E_IMAGE_version (all but letters and digits replaced by _) in the
// environment, the archive that it names is taken instead: a release, say. It must have the name Repository and that tag.
func Image(t testing.TB, version string) string {
	t.Helper()
	images.Lock()
	defer images.Unlock()
	if archive := images.archives[version]; archive != "" {
		return archive
	}
	archive := os.Getenv("TIERWALL_E2E_IMAGE_" + regexp.MustCompile(`\W`).ReplaceAllString(version, "_"))
	if archive == "" {
		archive = buildImage(t, version)
	}
	if images.archives == nil {
		images.archives = map[string]string{}
	}
	images.archives[version] = archive
	return archive
}

func buildImage(t testing.TB, version string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tierwall-image-")
	if err != nil {
		t.Fatal(err)
	}
	atExit(func() { _ = os.RemoveAll(dir) })
	binary := filepath.Join(dir, "tierwall")
	buildBinary(t, binary, version)
	if version == Dev {
		images.program = binary
	}
	goCommand(t, filepath.Join(root(), "tools"), "run", "./image", "-o", dir, "-name", Repository+":"+version, "-version", version,
		"-license", filepath.Join(root(), "LICENSE"), "linux/"+runtime.GOARCH+"="+binary)
	return filepath.Join(dir, "tierwall-linux-"+runtime.GOARCH+".tar")
}

// Binary builds tierwall from the sources as they are, and gives a directory with it: to run it where no image is.
func Binary(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	images.Lock()
	defer images.Unlock()
	if images.program == "" {
		buildBinary(t, filepath.Join(dir, "tierwall"), Dev)
		return dir
	}
	program, err := os.ReadFile(images.program)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "tierwall"), program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func buildBinary(t testing.TB, path, version string) {
	t.Helper()
	goCommand(t, root(), "build", "-trimpath",
		"-ldflags=-s -w -X github.com/tierwall/tierwall/internal/cli/version.version="+version, "-o", path, "./cmd/tierwall")
}

func goCommand(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly -buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// exits are what AtExit does.
var exits struct {
	sync.Mutex
	f []func()
}

func atExit(f func()) {
	exits.Lock()
	defer exits.Unlock()
	exits.f = append(exits.f, f)
}

// AtExit removes what was made for all tests of the process. Call it at the end of TestMain.
func AtExit() {
	exits.Lock()
	defer exits.Unlock()
	for _, f := range exits.f {
		f()
	}
	exits.f = nil
}

// imageLine finds the image of the manifests.
var imageLine = regexp.MustCompile(`(?m)^( *(?:- )?image: )\S*/tierwall:\S+$`)

// Manifest is deploy/install.yaml with the image that Image builds for the version.
func Manifest(t testing.TB, version string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(), "deploy/install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !imageLine.Match(b) {
		t.Fatal("deploy/install.yaml names no image of tierwall")
	}
	return withImage(string(b), version)
}

func withImage(manifest, version string) string {
	return imageLine.ReplaceAllString(manifest, "${1}"+Repository+":"+version)
}

// ManifestWith is Manifest as the chart makes it with further values, as YAML.
func ManifestWith(t testing.TB, version, values string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./manifests", "-values", values)
	cmd.Dir = filepath.Join(root(), "tools")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("render the chart with %s: %v", values, err)
	}
	return withImage(string(out), version)
}

// installed is the version that Install has put into a cluster.
var installed = map[*cluster.Cluster]string{}

// Install puts a version of tierwall into the cluster, or changes to it, and returns when it runs on all
// nodes. It stays installed. The version is one of Image: Dev is the sources as they are. Tests that call it
// cannot run in parallel.
func Install(t testing.TB, c *cluster.Cluster, version string) {
	t.Helper()
	if installed[c] != version {
		InstallEdited(t, c, version, func(manifest string) string { return manifest })
		installed[c] = version
	}
}

// InstallEdited is Install with another manifest than the shipped one, for a cluster that the test does not share.
func InstallEdited(t testing.TB, c *cluster.Cluster, version string, edit func(manifest string) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*Patience)
	defer cancel()
	archive, manifest := Image(t, version), edit(Manifest(t, version))
	if err := c.LoadImage(ctx, archive); err != nil {
		t.Fatal(err)
	}
	if err := applyAll(ctx, c, manifest); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"daemonset/tierwall-agent", "deployment/tierwall-controller"} {
		_, err := c.Kubectl(ctx, "--namespace", SystemNamespace, "rollout", "status", "--timeout="+Patience.String(), what)
		if err != nil {
			describe(t, c)
			t.Fatal(err)
		}
	}
}

// applyAll applies manifests among which are definitions that others of them need.
func applyAll(ctx context.Context, c *cluster.Cluster, manifests string) error {
	return Eventually(ctx, func(ctx context.Context) error { return c.Apply(ctx, manifests) })
}

// describe says in the test's log what tierwall's pods are up to.
func describe(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"--namespace", SystemNamespace, "describe", "pods"},
		{"--namespace", SystemNamespace, "logs", "--selector=app.kubernetes.io/component=agent", "--tail=50", "--prefix"},
		{"--namespace", SystemNamespace, "logs", "--selector=app.kubernetes.io/component=controller", "--tail=50", "--prefix"},
	} {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		out, err := c.Kubectl(ctx, args...)
		cancel()
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Eventually calls f until it has no error, or the context ends; then it gives f's last error before that.
func Eventually(ctx context.Context, f func(context.Context) error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // the end of the context makes errors of its own
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", last, ctx.Err())
		}
	}
}
