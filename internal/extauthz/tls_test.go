package extauthz

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// TestMutualTLS checks that over TCP only clients with a certificate of the
// authority are answered, and that a new certificate is taken up.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newAuthority(t), newAuthority(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	cfg := Config{Address: "127.0.0.1:0", Group: -1, CertFile: file("cert"), KeyFile: file("key"), ClientCA: file("ca")}
	if _, err := Listen(cfg, testState(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("listens without the files")
	}
	ours.issue(t, cfg.CertFile, cfg.KeyFile)
	write(t, cfg.ClientCA, ours.pem)
	s, err := Listen(cfg, testState(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	s.Ready()
	asks := func(creds credentials.TransportCredentials) error {
		conn, err := grpc.NewClient(s.addr().String(), grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, err = authv3.NewAuthorizationClient(conn).Check(t.Context(), request("10.0.0.2", "10.0.0.1", "GET", "/items"))
		return err
	}
	as := func(a *authority, trusting *authority) credentials.TransportCredentials {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(trusting.pem)
		c := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
		if a != nil {
			a.issue(t, file("client"), file("client-key"))
			pair, err := tls.LoadX509KeyPair(file("client"), file("client-key"))
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates = []tls.Certificate{pair}
		}
		return credentials.NewTLS(c)
	}
	if err := asks(as(ours, ours)); err != nil {
		t.Errorf("a client of the authority: %v", err)
	}
	for name, creds := range map[string]credentials.TransportCredentials{
		"no certificate": as(nil, ours), "another authority": as(theirs, ours), "no TLS": insecure.NewCredentials(),
	} {
		if err := asks(creds); err == nil {
			t.Errorf("%s: answered", name)
		}
	}
	theirs.issue(t, cfg.CertFile, cfg.KeyFile)
	if err := asks(as(ours, theirs)); err != nil {
		t.Errorf("a new certificate of the server: %v", err)
	}
	write(t, cfg.ClientCA, []byte("half"))
	if err := asks(as(ours, theirs)); err != nil {
		t.Errorf("while a file is being written: %v", err)
	}
	if err := os.Remove(cfg.KeyFile); err != nil {
		t.Fatal(err)
	}
	if err := asks(as(ours, theirs)); err != nil {
		t.Errorf("while a file is away: %v", err)
	}
}
