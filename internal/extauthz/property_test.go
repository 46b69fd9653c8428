package extauthz

import (
	"net/netip"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

func TestMain(m *testing.M) {
	beServer() // if this process is one
	modeltest.Main(m, 300, 3000)
}

// ask makes the request of a proxy for a flow over TCP or UDP.
func ask(f policy.Flow) *authv3.CheckRequest {
	peer := func(addr netip.Addr, port uint16) *authv3.AttributeContext_Peer {
		socket := &corev3.SocketAddress{Address: addr.String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)}}
		if f.Protocol == policy.UDP {
			socket.Protocol = corev3.SocketAddress_UDP
		}
		return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: socket}}}
	}
	out := &authv3.AttributeContext{Source: peer(f.Src, f.SrcPort), Destination: peer(f.Dst, f.DstPort)}
	if f.HTTP != nil {
		out.Request = &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: f.HTTP.Method, Path: f.HTTP.Path}}
	}
	return &authv3.CheckRequest{Attributes: out}
}

// asked reads what Envoy's own types write.
func asked(t interface{ Fatal(...any) }, r *authv3.CheckRequest) *CheckRequest {
	raw, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	q := &CheckRequest{}
	if err := q.unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return q
}

// TestDecidesAsEvaluate checks that after any changes the index decides as the
// plain evaluator does, by whom included.
func TestDecidesAsEvaluate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := rapid.OneOf(modeltest.Models(), modeltest.ModelsWithNodes(), modeltest.ModelsWithHosts()).Draw(rt, "model")
		s := NewState(modeltest.LocalNode)
		s.SetNodes(m.Nodes, m.Host)
		s.Apply(modeltest.Changes(nil, m))
		s.Ready()
		check := func() {
			e := evaluate.New(m.At(modeltest.IsLocal))
			for range 4 {
				f := modeltest.Flows(m).Draw(rt, "flow")
				if f.Protocol != policy.TCP && f.Protocol != policy.UDP {
					f.Protocol, f.ICMPType, f.ICMPCode = policy.TCP, 0, 0
				}
				f.HTTP = modeltest.Requests().Draw(rt, "request")
				want := e.Evaluate(f)
				s.mu.RLock()
				got := evaluate.Decide(index{s}, f)
				s.mu.RUnlock()
				if d := cmp.Diff(short(want), short(got)); d != "" {
					rt.Fatalf("%+v %+v (-evaluate +index):\n%s", f, f.HTTP, d)
				}
				res, err := s.Decide(asked(rt, ask(f)))
				known := s.holders[f.Dst] != nil || s.nodes[f.Dst] != ""
				if err != nil && known || err == nil && res.Verdict != want.Verdict {
					rt.Fatalf("%+v: asked by a proxy: %v, %v, want %v", f, res.Verdict, err, want.Verdict)
				}
			}
		}
		check()
		for _, step := range modeltest.Steps(m).Draw(rt, "steps") {
			s.Apply(step)
			m = modeltest.Apply(m, step...)
			check()
		}
	})
}

// short is a result without its traces.
func short(r policy.Result) policy.Result {
	r.Egress.Trace, r.Ingress.Trace = nil, nil
	r.Egress.Profiles, r.Ingress.Profiles = nil, nil
	for i := range r.Hosts {
		r.Hosts[i].Trace, r.Hosts[i].Profiles = nil, nil
	}
	if r.Answer != nil {
		answer := *r.Answer
		answer.Trace, answer.Profiles = nil, nil
		r.Answer = &answer
	}
	return r
}
