package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// compile builds this very command for a platform, as a program to pack.
func compile(t *testing.T, dir, arch string, env ...string) string {
	t.Helper()
	binary := filepath.Join(dir, arch)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

func sum(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// untar unpacks an archive and gives the layout in it.
func untar(t *testing.T, file string) layout.Path {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func manifests(t *testing.T, index v1.ImageIndex) []v1.Descriptor {
	t.Helper()
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	return m.Manifests
}

func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for two platforms")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir := t.TempDir()
	amd64, arm64 := compile(t, dir, "amd64"), compile(t, dir, "arm64")
	var outs [2]string
	for i := range outs {
		outs[i] = filepath.Join(dir, "out", string(rune('a'+i)))
		if err := run([]string{"-o", outs[i], "-name", "localhost/tierwall:dev", "-version", "v1.2.3", "-revision", "abc",
			"-license", "../../LICENSE", "linux/amd64=" + amd64, "linux/arm64=" + arm64}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(outs[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 5 {
		t.Errorf("%d files written, expected 5: %v", len(entries), entries)
	}
	for _, e := range entries {
		if a, b := sum(t, filepath.Join(outs[0], e.Name())), sum(t, filepath.Join(outs[1], e.Name())); a != b {
			t.Errorf("%s differs between two runs: %s and %s", e.Name(), a, b)
		}
	}

	root, err := untar(t, filepath.Join(outs[0], "tierwall.oci.tar")).ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	top := manifests(t, root)
	if len(top) != 3 || top[0].Annotations["io.containerd.image.name"] != "localhost/tierwall:dev" {
		t.Fatalf("expected the image and two bills of materials, got %+v", top)
	}
	index, err := root.ImageIndex(top[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	for i, d := range manifests(t, index) {
		if arch := []string{"amd64", "arm64"}[i]; d.Platform.Architecture != arch {
			t.Errorf("manifest %d is for %s, expected %s", i, d.Platform, arch)
		}
		image, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, image, []string{amd64, arm64}[i])

		// The bill of materials refers to its image.
		data := readBlob(t, untar(t, filepath.Join(outs[0], "tierwall.oci.tar")), top[1+i].Digest)
		var artifact v1.Manifest
		if err := json.Unmarshal(data, &artifact); err != nil {
			t.Fatal(err)
		}
		if artifact.ArtifactType != materialsType || artifact.Subject == nil || artifact.Subject.Digest != d.Digest {
			t.Errorf("bill of materials %d: %s", i, data)
		}
	}

	one, err := untar(t, filepath.Join(outs[0], "tierwall-linux-amd64.tar")).ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if got := manifests(t, one); len(got) != 1 || got[0].Digest != manifests(t, index)[0].Digest {
		t.Errorf("the archive of one platform holds %+v", got)
	}

	f, err := os.Open(filepath.Join(outs[0], "tierwall-linux-arm64.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(f, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range *bom.Components {
		found = found || c.Name == "github.com/google/go-containerregistry" && strings.HasPrefix(c.PackageURL, "pkg:golang/github.com/google/go-containerregistry@v") && c.Hashes != nil
	}
	if !found || bom.SerialNumber == "" {
		t.Errorf("bill of materials: number %q, components %+v", bom.SerialNumber, *bom.Components)
	}
}

func readBlob(t *testing.T, l layout.Path, h v1.Hash) []byte {
	t.Helper()
	data, err := l.Bytes(h)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func checkImage(t *testing.T, image v1.Image, binary string) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/usr/bin/tierwall" || config.Created.Unix() != 1700000000 {
		t.Errorf("config: %+v created %s", config.Config, config.Created)
	}
	if got := config.Config.Labels["org.opencontainers.image.version"]; got != "v1.2.3" {
		t.Errorf("label of the version: %q", got)
	}
	got := map[string]bool{}
	r := tar.NewReader(mutate.Extract(image))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = true
		if h.ModTime.Unix() != 1700000000 || h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s: time %s, owner %d:%d", h.Name, h.ModTime, h.Uid, h.Gid)
		}
		if h.Name == binaryPath {
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(binary)
			if err != nil {
				t.Fatal(err)
			}
			if h.Mode != 0o755 || !bytes.Equal(data, want) {
				t.Errorf("%s: mode %o, %d bytes of %d", h.Name, h.Mode, len(data), len(want))
			}
		}
	}
	for _, name := range []string{binaryPath, "etc/passwd", "etc/group", "etc/ssl/certs/ca-certificates.crt", "usr/share/doc/tierwall/LICENSE"} {
		if !got[name] {
			t.Errorf("%s is missing in the image, which holds %v", name, got)
		}
	}
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	name := []string{"-o", dir, "-name", "localhost/a:b", "-version", "v1"}
	for want, args := range map[string][]string{
		"-name, -version":                     nil,
		"expected OS/ARCH=BINARY":             append(name, "amd64"),
		"expected linux/amd64 or linux/arm64": append(name, "linux/s390x="+text),
		"not a Linux program":                 append(name, "linux/amd64="+text),
	} {
		if err := run(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, expected %q", args, err, want)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "soon")
	if err := run(append(name, "linux/amd64="+text)); err == nil || !strings.Contains(err.Error(), "seconds since 1970") {
		t.Errorf("SOURCE_DATE_EPOCH: %v", err)
	}
}
