// Command image packs static tierwall binaries into a container image, without
// a container engine, a base image or the network. Equal binaries and an equal
// time give equal bytes.
//
//	image -o dist -name localhost/tierwall:dev -version v1.2.3 linux/amd64=PATH linux/arm64=PATH
//
// It writes, into the directory given by -o:
//
//	tierwall.oci.tar            all platforms as one OCI layout, each with its bill of materials
//	tierwall-OS-ARCH.tar        one platform, to import: ctr images import, docker load, podman load
//	tierwall-OS-ARCH.cdx.json   what is in the binary: CycloneDX, from what Go recorded in it
//
// and prints the digest of the whole.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	out := flags.String("o", "dist", "directory to write to")
	var r release
	flags.StringVar(&r.Name, "name", "", "name and tag of the image, such as localhost/tierwall:dev")
	flags.StringVar(&r.Version, "version", "", "version of the program")
	flags.StringVar(&r.Revision, "revision", "", "commit that the program was built from")
	license := flags.String("license", "", "file that goes into the image as its license")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if r.Name == "" || r.Version == "" || flags.NArg() == 0 {
		return fmt.Errorf("-name, -version and at least one OS/ARCH=BINARY are needed")
	}
	var err error
	if r.Created, err = sourceTime(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	if *license != "" {
		if r.License, err = os.ReadFile(*license); err != nil {
			return err
		}
	}
	var built []platformImage
	for _, arg := range flags.Args() {
		platform, binary, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q: expected OS/ARCH=BINARY, such as linux/amd64=bin/tierwall", arg)
		}
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			return fmt.Errorf("%q: %w", arg, err)
		}
		image, err := r.build(*p, binary)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		built = append(built, image)
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	for _, image := range built {
		stem := filepath.Join(*out, "tierwall-"+strings.ReplaceAll(image.Platform.String(), "/", "-"))
		if err := os.WriteFile(stem+".cdx.json", image.Materials, 0o644); err != nil {
			return err
		}
		if err := r.writeOne(stem+".tar", image); err != nil {
			return err
		}
	}
	digest, err := r.writeAll(filepath.Join(*out, "tierwall.oci.tar"), built)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s %s\n", digest, r.Name)
	return err
}

// sourceTime reads SOURCE_DATE_EPOCH: seconds since 1970. Every time in the
// image is this one; without it, that is 1970.
func sourceTime(s string) (time.Time, error) {
	if s == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%s: expected seconds since 1970", s)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
