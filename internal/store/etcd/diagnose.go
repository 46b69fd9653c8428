package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// diagnose asks each member whether it can be reached; nil if one can. gRPC
// itself only says that it took too long.
func (s *Store) diagnose(ctx context.Context) error {
	errs := make([]error, len(s.opts.Endpoints))
	var wg sync.WaitGroup
	for i, endpoint := range s.opts.Endpoints {
		wg.Go(func() { errs[i] = s.probe(ctx, endpoint) })
	}
	wg.Wait()
	for i, err := range errs {
		if err == nil {
			return nil
		}
		errs[i] = fmt.Errorf("%s: %w", s.opts.Endpoints[i], err)
	}
	return errors.Join(errs...)
}

// probe connects to a member as far as the greetings.
func (s *Store) probe(ctx context.Context, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.times.open)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	secure, err := s.opts.tlsConfig()
	if err != nil {
		return err
	}
	if secure == nil {
		err := greet(conn)
		if ended(err) || errors.Is(err, errAlert) {
			return errors.New("it speaks no plain HTTP/2: is it https:// there?")
		}
		return err
	}
	secure.NextProtos = []string{"h2"}
	if secure.ServerName == "" {
		secure.ServerName = u.Hostname()
	}
	client := tls.Client(conn, secure)
	if err := client.HandshakeContext(ctx); err != nil {
		return handshakeReason(err)
	}
	// That our own certificate is refused shows only now.
	err = greet(client)
	switch {
	case err == nil:
		return nil
	case ended(err): // the alert that says why may be lost with the connection
		return fmt.Errorf("it ends the connection after the TLS handshake: probably it does not accept this client's certificate (--etcd-cert, --etcd-key): %w", err)
	}
	return handshakeReason(err)
}

var errAlert = errors.New("an alert of TLS")

// greet exchanges what connections of HTTP/2 begin with: a fixed text and
// settings from us, settings from the server.
func greet(conn net.Conn) error {
	const preface, noSettings = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if _, err := io.WriteString(conn, preface+noSettings); err != nil {
		return err
	}
	var frame [9]byte
	n, err := io.ReadFull(conn, frame[:])
	const settings, tlsAlert, tlsVersion = 4, 0x15, 3
	switch {
	case n > 1 && frame[0] == tlsAlert && frame[1] == tlsVersion:
		return errAlert
	case err != nil:
		return err
	case frame[3] != settings:
		return errors.New("what answers there is no etcd")
	}
	return nil
}

// ended reports whether the other side ended the connection. If it did so before it
// had read all that we sent, that may reach us as a reset.
func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) }

func handshakeReason(err error) error {
	switch text := err.Error(); {
	case ended(err), strings.Contains(text, "first record does not look like a TLS handshake"):
		return errors.New("it speaks no TLS: is it http:// there?")
	case strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"), strings.Contains(text, "unknown certificate authority"):
		return fmt.Errorf("it does not accept this client's certificate (--etcd-cert, --etcd-key): %w", err)
	}
	return err
}
