package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// names are the annotations by which engines find out what an image in an
// archive is called.
func (r release) names() map[string]string {
	return map[string]string{
		"io.containerd.image.name":          r.Name,
		"org.opencontainers.image.ref.name": r.Name,
	}
}

// writeOne writes an archive that holds one platform's image and nothing else.
func (r release) writeOne(file string, image platformImage) error {
	return r.archive(file, func(dir layout.Path) error {
		return dir.AppendImage(image.Image, layout.WithAnnotations(r.names()), layout.WithPlatform(image.Platform))
	})
}

// writeAll writes an archive with the image of every platform under one name,
// and beside it the bills of materials, which refer to their images. It gives
// the digest of what has the name.
func (r release) writeAll(file string, images []platformImage) (v1.Hash, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, image := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image.Image, Descriptor: v1.Descriptor{Platform: &image.Platform},
		})
	}
	index = mutate.Annotations(index, r.labels()).(v1.ImageIndex)
	digest, err := index.Digest()
	if err != nil {
		return v1.Hash{}, err
	}
	return digest, r.archive(file, func(dir layout.Path) error {
		if err := dir.AppendIndex(index, layout.WithAnnotations(r.names())); err != nil {
			return err
		}
		for _, image := range images {
			if err := r.attach(dir, image); err != nil {
				return err
			}
		}
		return nil
	})
}

// attach adds an image's bill of materials to a layout, as an artifact whose
// subject is the image. Registries list it among the image's referrers.
func (r release) attach(dir layout.Path, image platformImage) error {
	subject, err := partial.Descriptor(image.Image)
	if err != nil {
		return err
	}
	config, err := blob(dir, "application/vnd.oci.empty.v1+json", []byte("{}"))
	if err != nil {
		return err
	}
	materials, err := blob(dir, materialsType, image.Materials)
	if err != nil {
		return err
	}
	annotations := map[string]string{"org.opencontainers.image.created": r.Created.Format(time.RFC3339)}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  materialsType,
		Config:        config,
		Layers:        []v1.Descriptor{materials},
		Subject:       &v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest},
		Annotations:   annotations,
	})
	if err != nil {
		return err
	}
	artifact, err := blob(dir, types.OCIManifestSchema1, manifest)
	if err != nil {
		return err
	}
	artifact.ArtifactType, artifact.Annotations = materialsType, annotations
	return dir.AppendDescriptor(artifact)
}

func blob(dir layout.Path, media types.MediaType, data []byte) (v1.Descriptor, error) {
	hash, size, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{MediaType: media, Size: size, Digest: hash}, dir.WriteBlob(hash, io.NopCloser(bytes.NewReader(data)))
}

// archive writes what fill puts into an empty layout, as a tar file that
// appears whole or not at all.
func (r release) archive(file string, fill func(layout.Path) error) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(file), ".layout-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	root := filepath.Join(dir, "root")
	l, err := layout.Write(root, empty.Index)
	if err != nil {
		return err
	}
	if err := fill(l); err != nil {
		return err
	}
	whole := filepath.Join(dir, "tar")
	f, err := os.Create(whole)
	if err != nil {
		return err
	}
	if err := r.pack(f, root); err != nil {
		_ = f.Close()
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(whole, file)
}

// pack writes a directory in the order of its names, with nothing of the
// machine in it: no times, owners or modes.
func (r release) pack(to io.Writer, root string) error {
	w := tar.NewWriter(to)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: filepath.ToSlash(name) + "/", Mode: 0o755, ModTime: r.Created})
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(data)), ModTime: r.Created}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}
