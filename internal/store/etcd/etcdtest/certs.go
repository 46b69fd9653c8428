package etcdtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certs are the files of an authority with a server's and a client's certificate.
type Certs struct {
	CA, ServerCert, ServerKey, ClientCert, ClientKey string

	dir    string
	serial int64
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
}

// NewCerts makes an authority and its certificates: the server's for 127.0.0.1,
// the client's for the user.
func NewCerts(t testing.TB, user string) *Certs {
	t.Helper()
	c := &Certs{dir: t.TempDir()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	c.CA, _ = c.sign(t, "ca", template)
	c.ServerCert, c.ServerKey = c.sign(t, "server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		// etcd's own gateway is a client of itself.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	c.ClientCert, c.ClientKey = c.Client(t, user)
	return c
}

// Client makes a client's certificate for a user.
func (c *Certs) Client(t testing.TB, user string) (cert, key string) {
	t.Helper()
	return c.sign(t, "client-"+user, &x509.Certificate{
		Subject: pkix.Name{CommonName: user}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// sign makes a key and its certificate. The first one is the authority itself.
func (c *Certs) sign(t testing.TB, name string, template *x509.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.serial++
	template.SerialNumber = big.NewInt(c.serial)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, parentKey := c.ca, c.key
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	if c.ca == nil {
		if c.ca, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		c.key = key
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return c.write(t, name+".crt", "CERTIFICATE", der), c.write(t, name+".key", "PRIVATE KEY", keyDER)
}

func (c *Certs) write(t testing.TB, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(c.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ClientConfig returns TLS as the client does it.
func (c *Certs) ClientConfig(t testing.TB) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.ca)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}
