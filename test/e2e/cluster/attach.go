package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/test/e2e/internal/keeper"
)

// clusterVariable in the environment says which cluster Attach gives, if several are up.
const clusterVariable = "TIERWALL_E2E_CLUSTER"

// Attach returns the cluster that another process keeps up, to run programs in and to load
// images into. Its daemons, and its end, are the other's matter. If several are up, $TIERWALL_E2E_CLUSTER must have
// the name of one, which is that of its directory of logs.
func Attach() (*Cluster, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	module, err := moduleDir()
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	version, err := partsVersion(module)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	hosts, err := filepath.Glob(filepath.Join(cache, "run/*", keeper.HostsDir, "cp"))
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	var up []*Cluster
	var names []string
	for _, cp := range hosts {
		dir := filepath.Dir(filepath.Dir(cp))
		if name := os.Getenv(clusterVariable); name != "" && name != filepath.Base(dir) {
			continue
		}
		c := &Cluster{
			parts: &Parts{dir: filepath.Join(cache, "parts", version)},
			dir:   dir, logs: filepath.Join(cache, "logs", filepath.Base(dir)),
		}
		switch err := c.attach(); {
		case err == nil:
			up, names = append(up, c), append(names, filepath.Base(dir))
		case !errors.Is(err, keeper.ErrGone):
			return nil, fmt.Errorf("cluster: %w", err)
		}
	}
	switch {
	case len(up) == 0:
		return nil, errors.New("cluster: none is up")
	case len(up) > 1:
		return nil, fmt.Errorf("cluster: several are up, say one in $%s: %s", clusterVariable, strings.Join(names, ", "))
	}
	return up[0], nil
}

// attach finds the hosts.
func (c *Cluster) attach() error {
	hosts, err := os.ReadDir(filepath.Join(c.dir, keeper.HostsDir))
	if err != nil {
		return err
	}
	for _, h := range hosts {
		pid, fd, err := keeper.OpenHost(c.dir, h.Name())
		if err != nil {
			return err
		}
		n := &Node{cluster: c, name: h.Name(), host: &host{name: h.Name(), pid: pid, pidfd: fd}}
		if n.name == "cp" {
			c.cp = n
			continue
		}
		if n.index, err = strconv.Atoi(strings.TrimPrefix(n.name, "n")); err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	c.pki = &pki{dir: filepath.Join(c.dir, "pki")}
	return nil
}
