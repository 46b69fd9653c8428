package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// pki writes a cluster's keys, certificates and kubeconfigs into a directory, as
// NAME.key, NAME.crt and NAME.kubeconfig.
type pki struct {
	dir      string
	ca       *authority // of servers and clients
	frontend *authority // of the API server towards its extensions
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// validity is that of all certificates: longer than any cluster lives.
const validity = 30 * 24 * time.Hour

func (p *pki) path(file string) string { return filepath.Join(p.dir, file) }

func newPKI(dir string) (*pki, error) {
	p := &pki{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if p.ca, err = p.authority("ca"); err != nil {
		return nil, err
	}
	if p.frontend, err = p.authority("front-proxy-ca"); err != nil {
		return nil, err
	}
	// Service accounts' tokens are signed with a key that has no certificate.
	key, err := p.key("service-accounts")
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return p, p.write("service-accounts.pub", "PUBLIC KEY", public)
}

func (p *pki) write(file, kind string, der []byte) error {
	return os.WriteFile(p.path(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (p *pki) key(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, p.write(name+".key", "EC PRIVATE KEY", der)
}

func newCertificate(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
	}, err
}

func (p *pki) authority(name string) (*authority, error) {
	key, err := p.key(name)
	if err != nil {
		return nil, err
	}
	cert, err := newCertificate(pkix.Name{CommonName: name})
	if err != nil {
		return nil, err
	}
	cert.IsCA, cert.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	a := &authority{cert, key}
	return a, p.sign(name, a, cert, key.Public())
}

func (p *pki) sign(name string, by *authority, cert *x509.Certificate, public crypto.PublicKey) error {
	der, err := x509.CreateCertificate(rand.Reader, cert, by.cert, public, by.key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", name, err)
	}
	return p.write(name+".crt", "CERTIFICATE", der)
}

// certify makes a certificate for a client, which is a server as well if it has addresses or names.
func (p *pki) certify(by *authority, name string, subject pkix.Name, hosts ...string) error {
	key, err := p.key(name)
	if err != nil {
		return err
	}
	cert, err := newCertificate(subject)
	if err != nil {
		return err
	}
	cert.KeyUsage = x509.KeyUsageDigitalSignature
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, h)
		}
	}
	return p.sign(name, by, cert, key.Public())
}

// user makes a certificate and a kubeconfig with it.
func (p *pki) user(name string, subject pkix.Name, hosts ...string) error {
	if err := p.certify(p.ca, name, subject, hosts...); err != nil {
		return err
	}
	const only = "e2e"
	config := clientcmdapi.NewConfig()
	config.Clusters[only] = &clientcmdapi.Cluster{Server: apiServerURL, CertificateAuthority: p.path("ca.crt")}
	config.AuthInfos[only] = &clientcmdapi.AuthInfo{ClientCertificate: p.path(name + ".crt"), ClientKey: p.path(name + ".key")}
	config.Contexts[only] = &clientcmdapi.Context{Cluster: only, AuthInfo: only}
	config.CurrentContext = only
	return clientcmd.WriteToFile(*config, p.path(name+".kubeconfig"))
}
