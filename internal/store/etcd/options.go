package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// Options says which etcd to use, and how to get there.
type Options struct {
	// Endpoints are the URLs of the members: https://host:port. http:// is only
	// for members on this host, unless Plaintext allows others.
	Endpoints []string
	// Prefix is the first part of all keys, without slashes at its ends; empty
	// means "tierwall".
	Prefix string
	// CAFile holds the certificates (PEM) of who signs the members' certificates;
	// empty means those that the host trusts.
	CAFile string
	// CertFile and KeyFile hold this client's certificate and its key (PEM), both
	// or neither. They are read anew for each connection.
	CertFile, KeyFile string
	// ServerName is the name that the members' certificates must be for; empty
	// means the host in each URL.
	ServerName string
	// Username and Password are those of etcd's own users, both or neither.
	Username, Password string
	// Plaintext allows http:// to other hosts: whoever is on the way there can
	// read and change policy.
	Plaintext bool
	// Log gets what happens to the connection; nil means nobody does.
	Log *slog.Logger
}

// defaultPrefix begins all keys unless Options say otherwise.
const defaultPrefix = "tierwall"

// maxPrefix bounds the prefix, so that no key is longer than etcd likes.
const maxPrefix = 256

// maxEndpoints bounds the URLs: no cluster of etcd has as many members.
const maxEndpoints = 32

// CheckEndpoint says what is wrong with the URL of a member; nil if nothing is.
func (o *Options) CheckEndpoint(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" && u.Scheme == "":
		return errors.New("it is no URL: expected https://host:2379")
	case u.User != nil:
		// The URL is not shown: it holds the password.
		return errors.New("a URL of etcd holds a user: give the name with --etcd-username and the password in a file or in the environment")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%s: expected https://host:2379", text)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s: expected scheme, host and port only", text)
	case u.Hostname() == "":
		return fmt.Errorf("%s: the host is missing: expected https://host:2379", text)
	case u.Port() == "":
		return fmt.Errorf("%s: the port is missing; did you mean %s://%s?", text, u.Scheme, net.JoinHostPort(u.Hostname(), "2379"))
	case u.Scheme == "http" && !o.Plaintext && !isThisHost(u.Hostname()):
		return fmt.Errorf("%s: http:// to another host is refused, since anyone on the way could change policy: use https:// (or --etcd-plaintext if you must)", text)
	}
	return nil
}

// isThisHost reports whether a name is the loopback's.
func isThisHost(name string) bool {
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// check refuses options that cannot work.
func (o *Options) check() error {
	switch {
	case len(o.Endpoints) == 0:
		return errors.New("no URL of etcd: expected https://host:2379")
	case len(o.Endpoints) > maxEndpoints:
		return fmt.Errorf("%d URLs of etcd: expected at most %d", len(o.Endpoints), maxEndpoints)
	case (o.CertFile == "") != (o.KeyFile == ""):
		return errors.New("a client certificate needs its key, and a key its certificate: give both --etcd-cert and --etcd-key")
	case (o.Username == "") != (o.Password == ""):
		return errors.New("a user of etcd needs a name and a password: --etcd-username, and the password in --etcd-password-file or $TIERWALL_ETCD_PASSWORD")
	}
	for _, e := range o.Endpoints {
		if err := o.CheckEndpoint(e); err != nil {
			return err
		}
	}
	if strings.HasPrefix(o.Endpoints[0], "http:") && (o.CAFile != "" || o.CertFile != "") {
		return fmt.Errorf("%s: certificates need https://", o.Endpoints[0])
	}
	for _, e := range o.Endpoints[1:] {
		if strings.HasPrefix(e, "http:") != strings.HasPrefix(o.Endpoints[0], "http:") {
			return fmt.Errorf("%s: all members must be reached in one way, https:// or http://", e)
		}
	}
	return checkPrefix(o.Prefix)
}

// checkPrefix says what is wrong with a prefix of keys; nil if nothing is.
func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return fmt.Errorf("the prefix of keys has %d characters: expected at most %d", len(prefix), maxPrefix)
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if prefix != "" && (part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "") {
			return fmt.Errorf("prefix of keys %q: expected letters, digits, '.', '_' and '-', in parts between single slashes", prefix)
		}
	}
	return nil
}

// tlsConfig reads the certificates; nil for plain http.
func (o *Options) tlsConfig() (*tls.Config, error) {
	if strings.HasPrefix(o.Endpoints[0], "http:") {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CAFile != "" {
		text, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("certificates of etcd: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("certificates of etcd: %s holds no certificate in PEM", o.CAFile)
		}
	}
	if o.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("client certificate %s with key %s: %w", o.CertFile, o.KeyFile, err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		// Certificates are short-lived: a new one is taken up without a restart.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}
