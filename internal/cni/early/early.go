// Package early runs the CNI plugin while the program is still being initialised.
//
// Container runtimes execute the program for every pod that starts or ends, and
// twelve times a minute to ask for its status. Most of what it would initialise
// (the types of all Kubernetes APIs, encoders, metrics) has no part in that, and takes
// several times as long as the plugin's own work. Go initialises packages in the
// order of their import paths, as soon as what they import is ready. So this package, which
// imports only what the plugin needs, comes before most others; main imports it
// for this effect. If the order were another one, the plugin would be slower, and
// no less right.
package early

import (
	"os"

	"github.com/tierwall/tierwall/internal/cni/plugin"
)

// A runtime passes the command in the environment, and no arguments.
func init() {
	if len(os.Args) == 1 && os.Getenv("CNI_COMMAND") != "" {
		os.Exit(plugin.Main())
	}
}
