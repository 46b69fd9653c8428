package wire

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tierwall/tierwall/internal/suggest"
)

// PluginType is the plugin's type in a CNI configuration, and the name of its program.
const PluginType = "tierwall"

// What a plugin does with a pod whose policy is not in the kernel in time.
const (
	Closed = "closed" // the pod does not start; kubelets try again
	Open   = "open"   // the pod starts; the agent enforces for it as soon as it can
)

// DefaultTimeout is how long a pod is held up, unless told otherwise: longer than an
// agent needs to start again, and well below the two minutes after which a kubelet gives up.
const DefaultTimeout = 20 * time.Second

// Bounds of the timeout.
const minTimeout, maxTimeout = time.Second, MaxWait

// Conf is the plugin's entry in a CNI configuration, without what CNI itself puts there.
type Conf struct {
	Type   string `json:"type"`
	Socket string `json:"socket,omitempty"`
	// Timeout is how long an ADD may wait, as "20s".
	Timeout string `json:"timeout,omitempty"`
	// FailurePolicy is Closed or Open.
	FailurePolicy string `json:"failurePolicy,omitempty"`
	// ExemptNamespaces are those of pods that are not held up.
	ExemptNamespaces []string `json:"exemptNamespaces,omitempty"`
}

// confFields are the fields of Conf, and standardFields those of CNI.
var (
	confFields     = []string{"type", "socket", "timeout", "failurePolicy", "exemptNamespaces"}
	standardFields = []string{
		"cniVersion", "cniVersions", "name", "capabilities", "runtimeConfig", "args",
		"ipam", "ipMasq", "dns", "prevResult",
	}
)

// ParseConf reads the plugin's configuration as the container runtime passes it, checks it and fills in
// the defaults. Fields of others are left to them; one that looks like a misspelled field of
// ours is refused.
func ParseConf(b []byte) (Conf, error) {
	var c Conf
	if err := json.Unmarshal(b, &c); err != nil {
		return Conf{}, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return Conf{}, err
	}
	for name := range fields {
		if slices.Contains(confFields, name) || slices.Contains(standardFields, name) {
			continue
		}
		if near := suggest.DidYouMean(name, confFields); near != "" {
			return Conf{}, fmt.Errorf("%q is no field of the plugin %s%s", shorten(name), PluginType, near)
		}
	}
	if c.Socket == "" {
		c.Socket = DefaultSocket
	}
	if c.Timeout == "" {
		c.Timeout = DefaultTimeout.String()
	}
	if c.FailurePolicy == "" {
		c.FailurePolicy = Closed
	}
	return c, c.Check()
}

// Check says what is wrong with a configuration whose defaults are filled in.
func (c Conf) Check() error {
	// A unix socket's path must fit into 108 bytes, the end included.
	if !filepath.IsAbs(c.Socket) || len(c.Socket) > 107 || strings.ContainsFunc(c.Socket, notPlain) {
		return fmt.Errorf("socket %q: expected an absolute path of at most 107 characters", shorten(c.Socket))
	}
	if d, err := time.ParseDuration(c.Timeout); err != nil || d < minTimeout || d > maxTimeout {
		return fmt.Errorf(`timeout %q: expected %s to %s, as in "20s"`, shorten(c.Timeout), minTimeout, maxTimeout)
	}
	if c.FailurePolicy != Closed && c.FailurePolicy != Open {
		return fmt.Errorf("failurePolicy %q: expected %q or %q", shorten(c.FailurePolicy), Closed, Open)
	}
	for i, ns := range c.ExemptNamespaces {
		if ns == "" || len(ns) > maxName || strings.ContainsFunc(ns, notPlain) {
			return fmt.Errorf("exemptNamespaces[%d] %q: expected the name of a namespace", i, shorten(ns))
		}
	}
	return nil
}

// Wait is how long an ADD may wait.
func (c Conf) Wait() time.Duration {
	d, err := time.ParseDuration(c.Timeout)
	if err != nil {
		return DefaultTimeout // Check does not let it come to this
	}
	return d
}
