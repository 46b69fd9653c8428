package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/agent/lastvalid"
	"github.com/tierwall/tierwall/internal/cni/wire"
)

// Remove takes everything away that an agent put in force on this host, the CNI
// plugin first: a pod that starts must not wait for an agent that is gone. It is
// refused while an agent runs, and goes on past errors: what can go, goes.
func Remove(ctx context.Context, cfg Config) error {
	namespace, unlock, err := lock(&cfg)
	if err != nil {
		return err
	}
	defer unlock()
	var errs []error
	if cfg.Installer != nil {
		errs = append(errs, cfg.Installer.Uninstall())
	}
	if dp, err := cfg.Open(); err != nil {
		errs = append(errs, err)
	} else {
		errs = append(errs, dp.Remove(ctx), dp.Close())
	}
	if cfg.CNI != nil {
		errs = append(errs, removeSocket(cfg.CNI.Socket))
	}
	errs = append(errs, removeRunFiles(cfg.RunDir, namespace))
	return errors.Join(errs...)
}

// removeSocket removes the CNI socket and the records beside it.
func removeSocket(path string) error {
	if path == "" {
		path = wire.DefaultSocket
	}
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(string(wire.RecordsDir(path))))
}

// removeRunFiles removes the files of this network namespace, and their directory
// if nothing is left in it and it is not mounted.
func removeRunFiles(dir string, namespace uint64) error {
	dir = runDir(dir)
	versions, learned := lastvalid.Path(dir, namespace), dnslearner.Path(dir, namespace)
	var errs []error
	for _, path := range []string{versions, versions + ".new", learned, learned + ".new", lockPath(dir, namespace)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	err := os.Remove(dir)
	if err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EROFS) && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func lockPath(dir string, namespace uint64) string {
	return component.RunFile(dir, "agent", namespace, ".lock")
}
