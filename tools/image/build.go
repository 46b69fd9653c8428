package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// release is what is the same on every platform.
type release struct {
	Name     string // with tag
	Version  string
	Revision string
	Created  time.Time
	License  []byte
}

// platformImage is the image of one platform.
type platformImage struct {
	Platform  v1.Platform
	Image     v1.Image
	Materials []byte // the bill of materials, CycloneDX JSON
}

// binaryPath is where the program is in the image.
const binaryPath = "usr/bin/tierwall"

// nonroot is the user that the image runs as unless it is told otherwise. The
// agent must be told otherwise: only user 0 gets capabilities in Kubernetes.
const nonroot = "65532"

// build packs one binary. It must be static: the image holds no libraries.
func (r release) build(p v1.Platform, binary string) (platformImage, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return platformImage{}, err
	}
	if err := checkBinary(program, p); err != nil {
		return platformImage{}, fmt.Errorf("%s: %w", binary, err)
	}
	materials, err := r.materials(bytes.NewReader(program))
	if err != nil {
		return platformImage{}, fmt.Errorf("%s: %w", binary, err)
	}
	base := []file{
		{name: "etc/passwd", data: []byte("root:x:0:0:root:/:/sbin/nologin\ntierwall:x:" + nonroot + ":" + nonroot + ":tierwall:/:/sbin/nologin\n")},
		{name: "etc/group", data: []byte("root:x:0:\ntierwall:x:" + nonroot + ":\n")},
		{name: "etc/ssl/certs/ca-certificates.crt", data: authorities()},
	}
	if r.License != nil {
		base = append(base, file{name: "usr/share/doc/tierwall/LICENSE", data: r.License})
	}
	// The base comes first: it seldom changes, and is then not fetched again.
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	for _, layer := range []struct {
		what  string
		files []file
	}{
		{"users, certificate authorities, license", base},
		{"tierwall " + r.Version, []file{{name: binaryPath, data: program, mode: 0o755}}},
	} {
		l, err := r.layer(layer.files)
		if err != nil {
			return platformImage{}, err
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: l, History: v1.History{
			Created: v1.Time{Time: r.Created}, CreatedBy: layer.what,
		}})
		if err != nil {
			return platformImage{}, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return platformImage{}, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	config.Created = v1.Time{Time: r.Created}
	config.Config = v1.Config{
		Entrypoint: []string{"/" + binaryPath},
		Env:        []string{"PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		User:       nonroot + ":" + nonroot,
		WorkingDir: "/",
		Labels:     r.labels(),
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return platformImage{}, err
	}
	image = mutate.Annotations(image, r.labels()).(v1.Image)
	return platformImage{Platform: p, Image: image, Materials: materials}, nil
}

// labels say what the image is, under the names that the OCI gives. They are
// labels of each image and annotations of each manifest.
func (r release) labels() map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":         "tierwall",
		"org.opencontainers.image.description":   "Network policy with tiers for Kubernetes and hosts: decided, enforced, explained",
		"org.opencontainers.image.source":        "https://github.com/tierwall/tierwall",
		"org.opencontainers.image.url":           "https://github.com/tierwall/tierwall",
		"org.opencontainers.image.documentation": "https://github.com/tierwall/tierwall/tree/main/docs",
		"org.opencontainers.image.licenses":      "Apache-2.0",
		"org.opencontainers.image.version":       r.Version,
		"org.opencontainers.image.created":       r.Created.Format(time.RFC3339),
	}
	if r.Revision != "" {
		labels["org.opencontainers.image.revision"] = r.Revision
	}
	return labels
}

type file struct {
	name string // without a leading slash
	data []byte
	mode int64 // 0o644 if it is 0
}

// layer returns files, and the directories they are in, as a layer.
func (r release) layer(files []file) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	for _, f := range files {
		var dir string
		for _, part := range strings.Split(path.Dir(f.name), "/") {
			dir += part + "/"
			if made[dir] {
				continue
			}
			made[dir] = true
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: r.Created}); err != nil {
				return nil, err
			}
		}
		if f.mode == 0 {
			f.mode = 0o644
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: r.Created}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// authorities are those that Mozilla trusts, from a Go module: which ones they
// are depends on go.mod and not on the machine that builds. Those that are
// trusted for some certificates only cannot be written into a plain list, and
// stay out.
func authorities() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		cert, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			continue // the bundle's own tests say that there is none
		}
		fmt.Fprintf(&b, "# %s\n", cert.Subject)
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
	}
	return b.Bytes()
}
