package extauthz

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // of the health service
	"google.golang.org/grpc/mem"
)

// wireMessage is a message that writes and reads itself.
type wireMessage interface {
	marshal() []byte
	unmarshal(raw []byte) error
}

// codec is gRPC's for protocol buffers, with our own messages beside generated ones.
type codec struct{ generated encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(wireMessage); ok {
		return mem.BufferSlice{mem.SliceBuffer(m.marshal())}, nil
	}
	return c.generated.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(wireMessage)
	if !ok {
		return c.generated.Unmarshal(data, v)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free() // nothing of it is kept: strings are copies
	if err := m.unmarshal(buffer.ReadOnlyData()); err != nil {
		return fmt.Errorf("ext_authz: %w", err)
	}
	return nil
}

const (
	serviceName = "envoy.service.auth.v3.Authorization"
	checkMethod = "Check"
)

// checker is what the service needs.
type checker interface {
	check(ctx context.Context, q *CheckRequest) *CheckResponse
	unreadable(err error)
}

// call is where a request is read to. Nothing of the response points into it.
type call struct {
	check   CheckRequest
	request Request
}

var calls = sync.Pool{New: func() any { return &call{} }}

func (c *call) marshal() []byte            { return c.check.marshal() }
func (c *call) unmarshal(raw []byte) error { return c.check.read(raw, &c.request) }

// service describes Envoy's service to gRPC.
var service = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*checker)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: checkMethod,
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			c := calls.Get().(*call)
			defer calls.Put(c)
			if err := decode(c); err != nil {
				srv.(checker).unreadable(err)
				return nil, err
			}
			return srv.(checker).check(ctx, &c.check), nil
		},
	}},
	Metadata: "envoy/service/auth/v3/external_auth.proto",
}

// Check asks a server by a connection whether a request may pass.
func Check(ctx context.Context, conn grpc.ClientConnInterface, q *CheckRequest) (*CheckResponse, error) {
	a := &CheckResponse{}
	err := conn.Invoke(ctx, "/"+serviceName+"/"+checkMethod, q, a, grpc.ForceCodecV2(newCodec()))
	if err != nil {
		return nil, err
	}
	return a, nil
}
