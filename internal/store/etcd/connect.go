package etcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// maxMessage bounds one answer of etcd, in bytes.
const maxMessage = 64 << 20

// connect returns a client, which the caller closes. It need not be connected yet,
// unless a user must sign in.
func (s *Store) connect(ctx context.Context) (*clientv3.Client, error) {
	secure, err := s.opts.tlsConfig()
	if err != nil {
		return nil, err
	}
	var dial []grpc.DialOption
	if secure != nil && s.opts.ServerName != "" {
		dial = append(dial, grpc.WithTransportCredentials(named{credentials.NewTLS(secure), s.opts.ServerName}))
	}
	return clientv3.New(clientv3.Config{
		Endpoints: s.opts.Endpoints,
		TLS:       secure,
		Username:  s.opts.Username, Password: s.opts.Password,
		Context:     ctx,
		DialTimeout: s.times.open,
		// A member that hangs, or a network that swallows, is noticed by these.
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
		MaxCallRecvMsgSize: maxMessage,
		Logger:             zap.NewNop(), // errors are returned and logged by us
		DialOptions:        dial,
	})
}

// named demands one name of all servers: gRPC itself would demand the host of
// each URL, whatever tls.Config says.
type named struct {
	credentials.TransportCredentials
	server string
}

func (n named) ClientHandshake(ctx context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return n.TransportCredentials.ClientHandshake(ctx, n.server, conn)
}

func (n named) Clone() credentials.TransportCredentials {
	return named{n.TransportCredentials.Clone(), n.server}
}

// request makes one request, within the time for one. If no member can be
// reached, it does not wait until the time is over, and says why.
func (s *Store) request(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timeout := time.AfterFunc(s.times.request, func() { cancel(fmt.Errorf("no answer within %s", s.times.request)) })
	defer timeout.Stop()
	doubt := time.AfterFunc(s.times.doubt, func() {
		if err := s.diagnose(ctx); err != nil {
			cancel(err)
		}
	})
	defer doubt.Stop()
	err := do(ctx)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return s.plain(err)
}

// plain returns an error of etcd in the words of our users.
func (s *Store) plain(err error) error {
	known := rpctypes.Error(err)
	switch {
	case errors.Is(known, rpctypes.ErrPermissionDenied):
		who := "a client without a user"
		if s.opts.Username != "" {
			who = "user " + s.opts.Username
		} else if s.opts.CertFile != "" {
			who = "the user of this client's certificate"
		}
		return refusal{fmt.Errorf("%s has no permission for the keys below %s", who, s.root)}
	case errors.Is(known, rpctypes.ErrAuthFailed):
		return refusal{fmt.Errorf("user %s or the password is wrong", s.opts.Username)}
	case errors.Is(known, rpctypes.ErrUserEmpty):
		return refusal{errors.New("a user is needed: --etcd-username, or a client certificate with --etcd-cert and --etcd-key")}
	case errors.Is(known, rpctypes.ErrAuthNotEnabled):
		return refusal{fmt.Errorf("it has no users, so it must not be asked as %s: leave --etcd-username out", s.opts.Username)}
	case errors.Is(known, rpctypes.ErrNoLeader):
		return errors.New("its members have no leader")
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK && st.Code() != codes.Unknown {
		return errors.New(connectionError(st.Message()))
	}
	return err
}

// connectionError cuts what gRPC wraps around the cause.
func connectionError(text string) string {
	if _, cause, found := strings.Cut(text, "connection error: desc = "); found {
		text = strings.Trim(cause, `"`)
	}
	for _, wrapping := range []string{"error reading from server: ", "transport: ", "Error while dialing: ", "etcdserver: "} {
		text = strings.TrimPrefix(text, wrapping)
	}
	return ofConnection.ReplaceAllString(text, "")
}

// ofConnection is what names one connection in an error: the next one has other
// ports, and is no other trouble.
var ofConnection = regexp.MustCompile(`(read|write) tcp \S+->\S+: `)

// refusal is an error that does not end by waiting.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }
