package cluster

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Agnhost is the name of an image that every node has, for the pods of tests: the
// upstream suite's agnhost, with busybox for a shell and small tools. Its entry point is
// /agnhost, which does nothing if it gets no arguments.
const Agnhost = "localhost/agnhost:e2e"

// sandboxImage holds the namespaces of a pod.
const sandboxImage = "localhost/pause:e2e"

// shellTools are the names of busybox in the image agnhost.
var shellTools = []string{
	"sh", "cat", "ls", "sleep", "echo", "nc", "wget", "ip", "ping", "hostname", "nslookup", "date", "env", "ps", "kill", "test", "true", "false",
}

// imageFile is a file of an image: the content of another, or a link.
type imageFile struct{ path, from, link string }

func writeImages(p *Parts) error {
	busybox, err := machineProgram("busybox")
	if err != nil {
		return err
	}
	files := []imageFile{
		{path: "agnhost", from: p.Program("agnhost")},
		{path: "agnhost-2", link: "agnhost"}, // the suites call both
		{path: "bin/busybox", from: busybox},
		{path: "uploads/.keep", from: os.DevNull},
	}
	for _, t := range shellTools {
		files = append(files, imageFile{path: "bin/" + t, link: "busybox"})
	}
	err = writeImage(filepath.Join(p.images(), "agnhost.tar"), Agnhost, v1.Config{Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}}, files)
	if err != nil {
		return err
	}
	return writeImage(filepath.Join(p.images(), "pause.tar"), sandboxImage, v1.Config{Entrypoint: []string{"/keeper"}},
		[]imageFile{{path: "keeper", from: p.Program("keeper")}})
}

// writeImage writes an archive with an image of one layer.
func writeImage(archive, tag string, config v1.Config, files []imageFile) error {
	layer, err := layerOf(files)
	if err != nil {
		return fmt.Errorf("image %s: %w", tag, err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return fmt.Errorf("image %s: %w", tag, err)
	}
	config.Env = []string{"PATH=/:/bin:/usr/bin:/usr/local/bin:/sbin:/usr/sbin"}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{Architecture: runtime.GOARCH, OS: "linux", Config: config, RootFS: rootFS(layer)})
	if err != nil {
		return fmt.Errorf("image %s: %w", tag, err)
	}
	reference, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("image %s: %w", tag, err)
	}
	return tarball.WriteToFile(archive, reference, img)
}

func rootFS(layer v1.Layer) v1.RootFS {
	id, err := layer.DiffID()
	if err != nil {
		return v1.RootFS{Type: "layers"}
	}
	return v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{id}}
}

func layerOf(files []imageFile) (v1.Layer, error) {
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	made := map[string]bool{".": true}
	var directory func(dir string) error
	directory = func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		if err := directory(path.Dir(dir)); err != nil {
			return err
		}
		mode := int64(0o755)
		if dir == "tmp" {
			mode = 0o1777
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: mode})
	}
	for _, d := range []string{"tmp", "etc", "proc", "sys", "dev", "root", "var/run"} {
		if err := directory(d); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		if err := directory(path.Dir(f.path)); err != nil {
			return nil, err
		}
		if f.link != "" {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: f.path, Linkname: f.link, Mode: 0o777}); err != nil {
				return nil, err
			}
			continue
		}
		b, err := os.ReadFile(f.from)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: f.path, Mode: 0o755, Size: int64(len(b))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(b); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil },
		tarball.WithCompressionLevel(1))
}
