package extauthz

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// rawConn speaks HTTP/2 as a client that keeps to nothing.
type rawConn struct {
	t    *testing.T
	conn net.Conn
	*http2.Framer
	block bytes.Buffer
	*hpack.Encoder
}

func dialRaw(t *testing.T, s *Server) *rawConn {
	t.Helper()
	conn, err := net.Dial("unix", s.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &rawConn{t: t, conn: conn, Framer: http2.NewFramer(conn, conn)}
}

// hello begins the connection.
func (c *rawConn) hello() *rawConn {
	c.t.Helper()
	c.Encoder = hpack.NewEncoder(&c.block)
	_, err := io.WriteString(c.conn, http2.ClientPreface)
	c.must(errors.Join(err, c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})))
	return c
}

func (c *rawConn) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// begin begins a request, which does not end; more are further headers.
func (c *rawConn) begin(stream uint32, more ...[2]string) error {
	c.t.Helper()
	c.block.Reset()
	for _, h := range append([][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/" + serviceName + "/" + checkMethod}, {":authority", "x"},
		{"te", "trailers"}, {"content-type", "application/grpc"},
	}, more...) {
		c.must(c.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}))
	}
	const most = 16 << 10 // of a frame
	block := c.block.Bytes()
	first := block[:min(len(block), most)]
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: len(first) == len(block)}); err != nil {
		return err
	}
	for rest := block[len(first):]; len(rest) > 0; {
		part := rest[:min(len(rest), most)]
		rest = rest[len(part):]
		if err := c.WriteContinuation(stream, len(rest) == 0, part); err != nil {
			return err
		}
	}
	return nil
}

// until reads frames until one is what is looked for.
func (c *rawConn) until(found func(http2.Frame) bool) {
	c.t.Helper()
	for {
		f, err := c.ReadFrame()
		c.must(err)
		if found(f) {
			return
		}
	}
}

// TestStreamLimit checks that requests beyond the most at once are refused, and
// that the others are still answered.
func TestStreamLimit(t *testing.T) {
	server, _ := served(t, testState())
	c := dialRaw(t, server).hello()
	last := uint32(2*maxStreams + 1)
	for stream := uint32(1); stream <= last; stream += 2 {
		c.must(c.begin(stream))
	}
	c.until(func(f http2.Frame) bool {
		r, isReset := f.(*http2.RSTStreamFrame)
		if isReset && (r.StreamID != last || r.ErrCode != http2.ErrCodeRefusedStream) {
			t.Fatalf("got %v", f)
		}
		return isReset
	})
	body := []byte{0, 0, 0, 0, 0}
	c.must(c.WriteData(1, true, body))
	c.until(func(f http2.Frame) bool { _, isData := f.(*http2.DataFrame); return isData && f.Header().StreamID == 1 })
	if n := server.Counts().Refused; n != 1 {
		t.Errorf("%d requests were read, want the one that ended", n)
	}
}

// TestHeaderLimit checks that a request with large headers is not answered.
func TestHeaderLimit(t *testing.T) {
	server, _ := served(t, testState())
	for name, more := range map[string][][2]string{
		"one": {{"x", strings.Repeat("x", 2*maxHeaderList)}},
		"many": func() (out [][2]string) {
			for range 2000 {
				out = append(out, [2]string{"x", "y"})
			}
			return out
		}(),
	} {
		c := dialRaw(t, server).hello()
		// It may be closed already.
		_ = c.begin(1, more...)
		_ = c.WriteData(1, true, []byte{0, 0, 0, 0, 0})
		for ended := false; !ended; {
			f, err := c.ReadFrame()
			if err != nil {
				break // the whole connection is
			}
			switch f := f.(type) {
			case *http2.DataFrame:
				t.Fatalf("%s: answered", name)
			case *http2.RSTStreamFrame, *http2.GoAwayFrame:
				ended = true
			case *http2.HeadersFrame:
				ended = f.StreamEnded() // an error of HTTP
			}
		}
	}
	if c := server.Counts(); c.Allowed+c.Denied+c.Refused != 0 {
		t.Errorf("answered: %+v", c)
	}
}

// TestPingLimit checks that who pings all the time is told to go.
func TestPingLimit(t *testing.T) {
	server, _ := served(t, testState())
	c := dialRaw(t, server).hello()
	c.must(c.begin(1))
	for range 16 {
		if c.WritePing(false, [8]byte{}) != nil {
			break // it is closed already
		}
	}
	c.until(func(f http2.Frame) bool {
		g, isGoAway := f.(*http2.GoAwayFrame)
		if isGoAway && g.ErrCode != http2.ErrCodeEnhanceYourCalm {
			t.Fatalf("got %v", f)
		}
		return isGoAway
	})
}

// settles reads what the server begins a connection with.
func (c *rawConn) settles() {
	c.t.Helper()
	c.until(func(f http2.Frame) bool { _, is := f.(*http2.SettingsFrame); return is })
}

// isClosed waits for the end of a connection.
func (c *rawConn) isClosed() {
	for {
		if _, err := c.ReadFrame(); err != nil {
			return
		}
	}
}

// TestConnectionLimit: connections that do nothing shut nobody out, not even others of
// the same user: the one that was silent for longest goes.
func TestConnectionLimit(t *testing.T) {
	server, conn := served(t, testState())
	server.Ready()
	client := authv3.NewAuthorizationClient(conn)
	var idle []*rawConn
	for range maxConnections {
		c := dialRaw(t, server).hello()
		c.settles()
		idle = append(idle, c)
	}
	if n := server.Counts().Connections; n != maxConnections {
		t.Errorf("%d connections, want %d", n, maxConnections)
	}
	asks := func(when string) {
		t.Helper()
		var got *authv3.CheckResponse
		err := io.EOF
		for range 5 { // its connection may be closed while it asks
			if got, err = client.Check(t.Context(), request("10.0.0.2", "10.0.0.1", "GET", "/items")); err == nil {
				break
			}
		}
		if err != nil || got.GetOkResponse() == nil {
			t.Errorf("a proxy %s gets %v, %v", when, got, err)
		}
	}
	asks("beside idle connections")
	idle[0].isClosed()
	for range 3 * maxConnections {
		dialRaw(t, server).hello().settles()
	}
	if c := server.Counts(); c.Connections > maxConnections || c.Displaced < 3*maxConnections {
		t.Errorf("%d connections, %d displaced", c.Connections, c.Displaced)
	}
	asks("that connects again")
}

// TestRequestTime: requests that begin and never end are ended, and hold nothing for long.
func TestRequestTime(t *testing.T) {
	t.Parallel() // it takes requestTime, and does nothing
	server, _ := served(t, testState())
	c := dialRaw(t, server).hello()
	for i := range uint32(maxStreams) {
		c.must(c.begin(2*i + 1))
	}
	ended := 0
	c.until(func(f http2.Frame) bool {
		if h, is := f.(*http2.HeadersFrame); is && h.StreamEnded() {
			ended++
		}
		return ended == maxStreams
	})
	// There is room again.
	c.must(c.begin(2*maxStreams + 1))
	c.must(c.WriteData(2*maxStreams+1, true, []byte{0, 0, 0, 0, 0}))
	c.until(func(f http2.Frame) bool { _, is := f.(*http2.DataFrame); return is })
}

// TestNoWatch: no request is meant to last.
func TestNoWatch(t *testing.T) {
	_, conn := served(t, testState())
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("a watch: %v", err)
	}
}

// TestSlowClient checks that who says nothing is not waited for.
func TestSlowClient(t *testing.T) {
	t.Parallel() // it takes handshakeTime, and does nothing
	server, _ := served(t, testState())
	c := dialRaw(t, server)
	if _, err := io.WriteString(c.conn, http2.ClientPreface[:10]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c.conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}
