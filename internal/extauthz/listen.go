package extauthz

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/serve"
)

// Config says where a server listens, and whom it answers.
type Config struct {
	// Address is "unix:PATH", or "HOST:PORT" with an IP address as the host.
	Address string
	// Group is the group id that may open the unix socket beside root; -1: that of
	// this process.
	Group int
	// CertFile, KeyFile and ClientCA are PEM files for TLS: the server's own
	// certificate and key, and the authorities of those whom it answers. They are
	// needed unless the address is a socket or loopback, where who may connect is
	// decided by this host. They are read again when they change.
	CertFile, KeyFile, ClientCA string
}

// socketMode lets root and one group open the socket.
const socketMode = 0o660

// maxPath is how long the path of a socket may be, less what its name has while it
// is made.
const maxPath = 107 - len(".new")

// unixPrefix begins the address of a socket.
const unixPrefix = "unix:"

// Check says what is wrong with a configuration, in the words of its flags.
func (c *Config) Check() error {
	files := 0
	for _, f := range []string{c.CertFile, c.KeyFile, c.ClientCA} {
		if f != "" {
			files++
		}
	}
	path, isUnix := strings.CutPrefix(c.Address, unixPrefix)
	switch {
	case files != 0 && files != 3:
		return errors.New("--ext-authz-cert, --ext-authz-key and --ext-authz-client-ca belong together: TLS without knowing the client would answer anyone")
	case isUnix && !strings.HasPrefix(path, "/"):
		return fmt.Errorf("--ext-authz %s: expected unix: and a path that begins with '/'", c.Address)
	case isUnix && len(path) > maxPath:
		return fmt.Errorf("--ext-authz %s: the path of a socket has at most %d bytes, this one %d", c.Address, maxPath, len(path))
	case isUnix && files > 0:
		return fmt.Errorf("--ext-authz %s: a socket has no TLS: who may open it is said by its group", c.Address)
	case isUnix:
		return nil
	case c.Group >= 0:
		return errors.New("--ext-authz-group: only a unix socket has a group")
	}
	at, err := netip.ParseAddrPort(c.Address)
	switch {
	case err != nil:
		return fmt.Errorf("--ext-authz %s: expected unix:/PATH, or an IP address and a port such as 127.0.0.1:9098", c.Address)
	case !at.Addr().IsLoopback() && files == 0:
		return fmt.Errorf("--ext-authz %s: others than this host can connect there: it needs --ext-authz-cert, --ext-authz-key and --ext-authz-client-ca", c.Address)
	}
	return nil
}

func (c *Config) listen() (net.Listener, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	path, isUnix := strings.CutPrefix(c.Address, unixPrefix)
	if !isUnix {
		l, err := net.Listen("tcp", c.Address)
		return l, c.failed(err)
	}
	l, err := serve.Unix(path, socketMode, c.Group)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--ext-authz %s: the folder %s does not exist: create it, and let only proxies into it", c.Address, filepath.Dir(path))
	}
	if err != nil {
		return nil, c.failed(err)
	}
	return l, nil
}

// failed says which address an error is about.
func (c *Config) failed(err error) error {
	if err == nil {
		return nil
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // the rest of it names the address again
	}
	return fmt.Errorf("--ext-authz %s: cannot listen there: %w", c.Address, err)
}

// tls returns the configuration of TLS; nil for none.
func (c *Config) tls() (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	r := &reader{cfg: *c}
	if _, err := r.current(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.current() },
	}, nil
}

// reader reads certificates, and again when a file has changed.
type reader struct {
	cfg Config

	mu    sync.Mutex
	times [3]time.Time
	made  *tls.Config
}

func (r *reader) current() (*tls.Config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var times [3]time.Time
	flags := [...]string{"cert", "key", "client-ca"}
	for i, name := range []string{r.cfg.CertFile, r.cfg.KeyFile, r.cfg.ClientCA} {
		info, err := os.Stat(name)
		if err != nil {
			return r.made, r.unless(fmt.Errorf("--ext-authz-%s: %w", flags[i], err))
		}
		times[i] = info.ModTime()
	}
	if r.made != nil && times == r.times {
		return r.made, nil
	}
	made, err := r.read()
	if err != nil {
		return r.made, r.unless(err) // half-written, perhaps: what there was is still good
	}
	r.made, r.times = made, times
	return made, nil
}

// unless returns the error if there is nothing to go on with.
func (r *reader) unless(err error) error {
	if r.made != nil {
		return nil
	}
	return err
}

func (r *reader) read() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(r.cfg.CertFile, r.cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("--ext-authz-cert, --ext-authz-key: %w", err)
	}
	text, err := os.ReadFile(r.cfg.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("--ext-authz-client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ext-authz-client-ca %s: holds no certificate in PEM", r.cfg.ClientCA)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, NextProtos: []string{"h2"},
	}, nil
}
