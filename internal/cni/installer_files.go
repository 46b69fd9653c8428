package cni

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/cni/conflist"
	"github.com/tierwall/tierwall/internal/cni/plugin"
	"github.com/tierwall/tierwall/internal/cni/wire"
)

// savedSuffix is put behind the name of a configuration of one plugin that was made a
// list: no runtime reads it then, and Uninstall finds it.
const savedSuffix = ".tierwall-original"

// errNoNetwork is how it is before a network plugin is installed on the host.
var errNoNetwork = errors.New("the network plugin of the cluster is not installed on this host yet")

// configurations returns the names of the files that runtimes take for CNI
// configurations, in their order: the first is that of the pods' network.
func (i *Installer) configurations() ([]string, error) {
	entries, err := os.ReadDir(i.cfg.ConfDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: directory %s is not there", errNoNetwork, i.cfg.ConfDir)
	}
	if err != nil {
		return nil, fmt.Errorf("CNI configurations: %w", err)
	}
	var names []string
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".conf", ".conflist", ".json":
			if !e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// addToNetwork adds the plugin to the configuration that runtimes use.
func (i *Installer) addToNetwork() (file string, changed bool, err error) {
	names, err := i.configurations()
	if err != nil {
		return "", false, err
	}
	if len(names) == 0 {
		return "", false, fmt.Errorf("%w: no configuration in %s", errNoNetwork, i.cfg.ConfDir)
	}
	path := filepath.Join(i.cfg.ConfDir, names[0])
	if filepath.Ext(path) != ".conflist" {
		file, err = i.convert(names)
		return file, err == nil, err
	}
	changed, err = change(path, func(text []byte) ([]byte, error) {
		if kinds, err := conflist.Kinds(text); err == nil && onlyLoopback(kinds) {
			return nil, errNoNetwork
		}
		return conflist.Add(text, i.entry, plugin.Versions.SupportedVersions())
	})
	return path, changed, err
}

// onlyLoopback reports whether a network is the one that some systems bring along, with which
// pods reach nobody.
func onlyLoopback(kinds []string) bool {
	return !slices.ContainsFunc(kinds, func(k string) bool { return k != "loopback" })
}

// convert makes a list of the first configuration, which is of one plugin. The list
// is complete before the original goes out of use, and the other way around in restore, so that
// there is a whole configuration at every moment.
func (i *Installer) convert(names []string) (file string, err error) {
	original := filepath.Join(i.cfg.ConfDir, names[0])
	listName := strings.TrimSuffix(names[0], filepath.Ext(names[0])) + ".conflist"
	list := filepath.Join(i.cfg.ConfDir, listName)
	if slices.ContainsFunc(names[1:], func(n string) bool { return n < listName }) {
		return original, fmt.Errorf("%s: has one plugin and must be made a list, but %s would not be the first configuration any more: rename one of them", original, listName)
	}
	_, err = os.Lstat(original + savedSuffix)
	if slices.Contains(names, listName) && err != nil {
		return original, fmt.Errorf("%s: has one plugin and must be made a list, but %s exists already: remove the one that is not used", original, list)
	}
	text, info, err := read(original)
	if err != nil {
		return original, err
	}
	wrapped, err := conflist.Wrap(text)
	if err != nil {
		return original, fmt.Errorf("%s: %w", original, err)
	}
	if kinds, err := conflist.Kinds(wrapped); err != nil || onlyLoopback(kinds) {
		return original, cmp.Or(err, fmt.Errorf("%s: %w", original, errNoNetwork))
	}
	added, err := conflist.Add(wrapped, i.entry, plugin.Versions.SupportedVersions())
	if err != nil {
		return original, fmt.Errorf("%s: %w", original, err)
	}
	if err := write(list, added, info); err != nil {
		return original, err
	}
	if err := os.Rename(original, original+savedSuffix); err != nil {
		return original, fmt.Errorf("make a list of %s: %w", original, err)
	}
	if saved, _, err := read(original + savedSuffix); err != nil || !bytes.Equal(saved, text) {
		// It was written since it was read: it is in use again, and tried again.
		return original, cmp.Or(errors.Join(err, os.Rename(original+savedSuffix, original), os.Remove(list)),
			fmt.Errorf("make a list of %s: another program writes it", original))
	}
	return list, syncDir(i.cfg.ConfDir)
}

// removeFromNetworks takes the plugin out of all configurations, whether they are in
// use or not. Files that are no configurations are left alone.
func (i *Installer) removeFromNetworks() error {
	entries, err := os.ReadDir(i.cfg.ConfDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("CNI configurations: %w", err)
	}
	var failed []error
	for _, e := range entries {
		if saved, ok := strings.CutSuffix(e.Name(), savedSuffix); ok {
			failed = append(failed, i.restore(filepath.Join(i.cfg.ConfDir, saved)))
		}
	}
	for _, e := range entries {
		path := filepath.Join(i.cfg.ConfDir, e.Name())
		if filepath.Ext(path) != ".conflist" {
			continue
		}
		text, _, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // restore has removed it
		}
		if err != nil || !bytes.Contains(text, []byte(wire.PluginType)) {
			failed = append(failed, err)
			continue
		}
		_, err = change(path, func(text []byte) ([]byte, error) { return conflist.Remove(text, wire.PluginType) })
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// restore brings a configuration of one plugin back that convert has made a list.
func (i *Installer) restore(original string) error {
	saved := original + savedSuffix
	list := strings.TrimSuffix(original, filepath.Ext(original)) + ".conflist"
	text, _, err := read(saved)
	if err != nil {
		return err
	}
	now, _, err := read(list)
	if errors.Is(err, fs.ErrNotExist) {
		// Somebody has removed the network.
		return os.Remove(saved)
	}
	if err != nil {
		return err
	}
	wrapped, err := conflist.Wrap(text)
	if err != nil {
		return fmt.Errorf("%s: %w", saved, err)
	}
	rest, err := conflist.Remove(now, wire.PluginType)
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	if !bytes.Equal(rest, wrapped) {
		// Somebody has changed the list: it stays one, without us.
		return os.Remove(saved)
	}
	if _, err := os.Lstat(original); err == nil {
		// Somebody has written the original anew, which runtimes read.
		return errors.Join(os.Remove(list), os.Remove(saved))
	}
	if err := os.Rename(saved, original); err != nil {
		return fmt.Errorf("bring %s back: %w", original, err)
	}
	return errors.Join(os.Remove(list), syncDir(i.cfg.ConfDir))
}
