package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
)

// Unix makes a socket with these permissions, of this group (unless it is
// negative), in the place of one that may be there. It has another name first: at
// its own name there is never one that others could open, and clients that hold
// the old one find the new one when they connect again. Something at that path
// that is no socket is an error. Closing the listener leaves the file.
func Unix(path string, mode fs.FileMode, group int) (*net.UnixListener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("%s: something else is there: move it away, or name another path", path)
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(tmp, 0); err == nil && group >= 0 {
		err = os.Chown(tmp, -1, group)
	}
	if err == nil {
		err = os.Chmod(tmp, mode)
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
