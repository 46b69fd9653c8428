package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tierwall/tierwall/internal/backoff"
	"github.com/tierwall/tierwall/internal/cni/wire"
)

const (
	// lookInterval is the time between two looks at what is installed, for what no event tells.
	lookInterval = 30 * time.Second
	// settleTime is how long a writer has to finish.
	settleTime = 100 * time.Millisecond
	// Between two repairs, the first one excepted, the time doubles from one to the other:
	// another program may want the configuration to be without the plugin.
	minPause, maxPause = time.Second, time.Minute
	// calmAfter is the time without repairs after which there is no pause before the next.
	calmAfter = 5 * time.Minute
)

// InstallerConfig says what is installed, and where.
type InstallerConfig struct {
	// ConfDir and BinDir are the runtime's directories; empty: DefaultConfDir, DefaultBinDir.
	ConfDir, BinDir string
	// Program is what is copied into BinDir; empty: this program, /proc/self/exe.
	Program string
	// Socket is what the plugin asks, as a path on the host; empty: DefaultSocket.
	Socket string
	// Timeout, FailOpen and ExemptNamespaces become the plugin's configuration. Timeout 0
	// leaves it at the plugin's default.
	Timeout          time.Duration
	FailOpen         bool
	ExemptNamespaces []string
	Log              *slog.Logger
}

// Installer keeps the plugin installed. There is one at most on a host.
type Installer struct {
	cfg   InstallerConfig
	entry []byte // the plugin's entry in a configuration

	mu      sync.Mutex
	status  InstallStatus
	program os.FileInfo     // of the installed program, as it was when it was compared
	backoff backoff.Backoff // between two repairs
	pause   time.Duration   // before the next one
	last    time.Time       // of the last repair
}

// NewInstaller returns an installer that has done nothing yet. It fails if the
// configuration is not one that the plugin would take.
func NewInstaller(cfg InstallerConfig) (*Installer, error) {
	setDefault(&cfg.ConfDir, DefaultConfDir)
	setDefault(&cfg.BinDir, DefaultBinDir)
	setDefault(&cfg.Program, "/proc/self/exe")
	setDefault(&cfg.Socket, DefaultSocket)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = wire.DefaultTimeout
	}
	conf := wire.Conf{
		Type: wire.PluginType, Socket: cfg.Socket, Timeout: cfg.Timeout.String(),
		FailurePolicy: wire.Closed, ExemptNamespaces: cfg.ExemptNamespaces,
	}
	if cfg.FailOpen {
		conf.FailurePolicy = wire.Open
	}
	if err := conf.Check(); err != nil {
		return nil, fmt.Errorf("configuration of the CNI plugin: %w", err)
	}
	entry, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	return &Installer{cfg: cfg, entry: entry, backoff: backoff.Backoff{Min: minPause, Max: maxPause}, status: InstallStatus{Error: "nothing was tried yet"}}, nil
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// InstallStatus says how far an installer is.
type InstallStatus struct {
	// Installed is true while the configuration that the runtime uses has the plugin.
	Installed bool `json:"installed"`
	// File is that configuration.
	File string `json:"file,omitempty"`
	// Error is why the plugin is not installed; empty if it is.
	Error string `json:"error,omitempty"`
	// Repairs counts how often it had to be put back.
	Repairs int `json:"repairs"`
}

// Status may be called at any time.
func (i *Installer) Status() InstallStatus {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.status
}

// Install installs the plugin, and changes nothing where it is installed already. The program
// is there before a configuration names it. It says where, and whether anything
// was changed.
func (i *Installer) Install() (file string, changed bool, err error) {
	copied, err := i.installProgram()
	if err != nil {
		return "", false, err
	}
	file, edited, err := i.addToNetwork()
	if err != nil {
		return file, copied, err
	}
	return file, copied || edited, nil
}

// Run installs the plugin, and again whenever another program has taken it out,
// until the context ends; the plugin stays then. What goes wrong is logged once
// and in the Status, and tried again.
func (i *Installer) Run(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", i.cfg.ConfDir, err)
	}
	defer func() { _ = watcher.Close() }()
	for {
		// A directory that comes later is watched then. To watch one again is no error.
		watched := errors.Join(watcher.Add(i.cfg.ConfDir), watcher.Add(i.cfg.BinDir)) == nil
		wait := i.look()
		if !watched {
			wait = min(wait, 5*time.Second)
		}
		if !i.sleep(ctx, watcher, wait) {
			return nil
		}
	}
}

// sleep waits until there is something to see, or for as long as it is told. It
// reports whether the context goes on.
func (i *Installer) sleep(ctx context.Context, watcher *fsnotify.Watcher, most time.Duration) bool {
	if pause := i.pauseLeft(); pause > 0 {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
	timeout := time.After(most)
	select {
	case <-ctx.Done():
		return false
	case <-timeout:
		return true
	case <-watcher.Events:
	case err := <-watcher.Errors: // events were lost: look
		i.cfg.Log.Debug("watch the directories of CNI", "error", err)
	}
	settled := time.After(settleTime)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-settled:
			return true
		case <-watcher.Events:
		case err := <-watcher.Errors:
			i.cfg.Log.Debug("watch the directories of CNI", "error", err)
		}
	}
}

// look installs what is missing and says when to look again at the latest.
func (i *Installer) look() time.Duration {
	file, changed, err := i.Install()
	i.mu.Lock()
	defer i.mu.Unlock()
	before := i.status
	i.status.File, i.status.Installed, i.status.Error = file, err == nil, ""
	switch {
	case err != nil:
		i.status.Error = err.Error()
		switch {
		case before.Error == i.status.Error:
		case errors.Is(err, errNoNetwork):
			i.cfg.Log.Info("the CNI plugin waits to be installed", "reason", err)
		default:
			i.cfg.Log.Error("the CNI plugin is not installed: pods start without waiting for their policy", "error", err)
		}
		return lookInterval / 3
	case before.Installed && before.File == file && changed:
		i.status.Repairs++
		i.repaired()
		i.cfg.Log.Warn("the CNI plugin was taken out by another program, and is installed again", "file", file, "repairs", i.status.Repairs)
	case !before.Installed || before.File != file:
		i.cfg.Log.Info("the CNI plugin is installed", "file", file, "program", i.programPath())
	}
	return lookInterval
}

// repaired sets the pause before the next repair.
func (i *Installer) repaired() {
	now := time.Now()
	if now.Sub(i.last) > calmAfter {
		i.backoff.Reset()
		i.pause = 0
	} else {
		i.pause = i.backoff.Next()
	}
	i.last = now
}

func (i *Installer) pauseLeft() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	return time.Until(i.last.Add(i.pause))
}

// Uninstall takes the plugin's entry out of every configuration in ConfDir, then its
// program out of BinDir. It is no error if they are not there. What nobody else has
// changed is as it was before, to the byte.
//
// One thing may stay: CRI-O ends a pod with the configuration that the pod was started with,
// and could end none without the program. While it runs pods that were started with
// the plugin, the program stays, which the log says.
func (i *Installer) Uninstall() error {
	if err := i.removeFromNetworks(); err != nil {
		return err // the program stays: configurations name it
	}
	if n := i.needed(); n > 0 {
		i.cfg.Log.Warn("the program of the CNI plugin stays: CRI-O runs it when pods end that were started with it; remove it by hand when they are gone",
			"program", i.programPath(), "pods", n)
		return nil
	}
	return i.removeProgram()
}

// needed counts the pods that cannot end without the program.
func (i *Installer) needed() int {
	records, _, err := wire.RecordsDir(i.cfg.Socket).Read()
	if err != nil {
		return 0 // there are none
	}
	n := 0
	for _, r := range records {
		if r.Runtime == "crio" {
			n++
		}
	}
	return n
}
