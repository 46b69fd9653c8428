package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// bash is what agnhost's image gets for a shell that suites call by another name: what
// they ask of it, busybox can do.
const bash = "#!/bin/sh\nexec /bin/sh \"$@\"\n"

// NameAgnhost returns every node the image Agnhost under one more name, with a /bin/bash.
func (c *Cluster) NameAgnhost(ctx context.Context, as string) error {
	dir, err := os.MkdirTemp(c.dir, "image-")
	if err != nil {
		return fmt.Errorf("cluster: image %s: %w", as, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := c.nameAgnhost(ctx, dir, as); err != nil {
		return fmt.Errorf("cluster: image %s: %w", as, err)
	}
	return nil
}

func (c *Cluster) nameAgnhost(ctx context.Context, dir, as string) error {
	script, archive := filepath.Join(dir, "bash"), filepath.Join(dir, "agnhost.tar")
	if err := os.WriteFile(script, []byte(bash), 0o600); err != nil {
		return err
	}
	img, err := tarball.ImageFromPath(filepath.Join(c.parts.images(), "agnhost.tar"), nil)
	if err != nil {
		return err
	}
	layer, err := layerOf([]imageFile{{path: "bin/bash", from: script}})
	if err != nil {
		return err
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		return err
	}
	tag, err := name.NewTag(as)
	if err != nil {
		return err
	}
	if err := tarball.WriteToFile(archive, tag, img); err != nil {
		return err
	}
	return c.LoadImage(ctx, archive)
}
