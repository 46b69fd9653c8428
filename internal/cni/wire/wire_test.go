package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testPod(change ...func(*Pod)) Pod {
	p := Pod{
		PodID: PodID{
			Namespace: "web", Name: "frontend-1", UID: "5f0c",
			Attachment: Attachment{Container: "c1", Interface: "eth0"},
		},
		Network: "k8s", Addrs: []netip.Addr{netip.MustParseAddr("10.244.1.2"), netip.MustParseAddr("fd00::2")},
		HostInterface: "veth1", HostIndex: 7, MAC: "0a:58:0a:f4:01:02", NetNS: "/var/run/netns/cni-1",
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

var cmpAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// TestRequests holds that what is written is read again, and that nothing else is.
func TestRequests(t *testing.T) {
	pod := testPod()
	for _, q := range []Request{
		{Op: Add, Pod: &pod, WaitMillis: 20000},
		{Op: Add, Pod: &pod, Keep: true},
		{Op: Check, Pod: &pod},
		{Op: Del, Attachment: &pod.Attachment},
		{Op: GC, Network: "k8s"},
		{Op: GC, Network: "k8s", Valid: []Attachment{pod.Attachment, {"c2", "eth0"}}},
		{Op: Status},
	} {
		q.Version = Version
		var line bytes.Buffer
		if err := Write(&line, q); err != nil {
			t.Fatal(err)
		}
		got, err := ReadRequest(&line)
		if err != nil {
			t.Fatalf("%s: %v", q.Op, err)
		}
		if diff := cmp.Diff(&q, got, cmpAddr); diff != "" {
			t.Errorf("%s: -written +read:\n%s", q.Op, diff)
		}
	}
}

func TestRequestsRefused(t *testing.T) {
	pod := func(change ...func(*Pod)) string {
		b, err := json.Marshal(testPod(change...))
		if err != nil {
			t.Fatal(err)
		}
		return `{"version":1,"op":"add","waitMillis":1,"pod":` + string(b) + "}\n"
	}
	addrs := func(list ...string) string {
		return pod(func(p *Pod) {
			p.Addrs = nil
			for _, a := range list {
				p.Addrs = append(p.Addrs, netip.MustParseAddr(a))
			}
		})
	}
	many := make([]string, MaxAddrs+1)
	for i := range many {
		many[i] = fmt.Sprintf("10.0.0.%d", i+1)
	}
	for _, tt := range []struct{ name, line, want string }{
		{"nothing", "", "EOF"},
		{"half", `{"version":1`, "unexpected EOF"},
		{"no object", "1\n", "json: cannot unmarshal number into Go value of type struct { Version int \"json:\\\"version\\\"\" }"},
		{"two objects", "{} {}\n", "invalid character '{' after top-level value"},
		{"another version", `{"version":2,"whatever":1}` + "\n", "version 2 of the protocol: expected 1: plugin and agent are of different builds; the agent installs the one that belongs to it"},
		{"unknown field", `{"version":1,"op":"status","more":1}` + "\n", `json: unknown field "more"`},
		{"unknown op", `{"version":1,"op":"ADD"}` + "\n", `op "ADD": expected add, del, check, gc or status`},
		{"wait", `{"version":1,"op":"status","waitMillis":110001}` + "\n", "waitMillis 110001: expected 0 to 110000"},
		{"no pod", `{"version":1,"op":"add"}` + "\n", "op add: pod is missing"},
		{"no network", `{"version":1,"op":"gc"}` + "\n", "op gc: network is missing"},
		{"too much", `{"version":1,"op":"del","attachment":{"container":"c","interface":"eth0"},"keep":true}` + "\n", "op del: keep does not belong to it"},
		{"valid", `{"version":1,"op":"gc","network":"n","valid":[{"container":"c","interface":"eth0"},{"container":"../c","interface":"eth0"}]}` + "\n", `valid[1]: container "../c": invalid characters in containerID; ../c`},
		{"container", pod(func(p *Pod) { p.Container = strings.Repeat("c", 201) }), `container "` + strings.Repeat("c", 64) + `...": has 201 characters: at most 200 are taken`},
		{"interface", pod(func(p *Pod) { p.Interface = "../x" }), `interface "../x": interface name contains / or : or whitespace characters`},
		{"interface's characters", pod(func(p *Pod) { p.Interface = "e\x7f" }), `interface "e\x7f": has characters that no interface's name has`},
		{"namespace", pod(func(p *Pod) { p.Namespace = "" }), "pod: namespace is missing"},
		{"name", pod(func(p *Pod) { p.Name = "a\nb" }), `pod: name "a\nb" has characters other than printable ASCII`},
		{"uid", pod(func(p *Pod) { p.UID = strings.Repeat("u", 254) }), `pod: uid "` + strings.Repeat("u", 64) + `..." has 254 characters: at most 253 are taken`},
		{"host interface", pod(func(p *Pod) { p.HostInterface = "a/b" }), `pod web/frontend-1: host interface "a/b": interface name contains / or : or whitespace characters`},
		{"host index", pod(func(p *Pod) { p.HostInterface = "" }), `pod web/frontend-1: hostIndex is 7, hostInterface "": expected both or none`},
		{"mac", pod(func(p *Pod) { p.MAC = "x" }), "pod web/frontend-1: mac: address x: invalid MAC address"},
		{"no address", addrs(), "pod web/frontend-1: has 0 addresses: expected 1 to 64"},
		{"many addresses", addrs(many...), "pod web/frontend-1: has 65 addresses: expected 1 to 64"},
		{"zone", addrs("fe80::1%eth0"), `pod web/frontend-1: address "fe80::1%eth0": expected a plain IPv4 or IPv6 address`},
		{"mapped", addrs("::ffff:10.0.0.1"), `pod web/frontend-1: address "::ffff:10.0.0.1": expected a plain IPv4 or IPv6 address`},
		{"loopback", addrs("127.0.0.1"), "pod web/frontend-1: address 127.0.0.1: is none that a pod can have"},
		{"twice", addrs("10.0.0.1", "10.0.0.1"), "pod web/frontend-1: address 10.0.0.1: is there twice"},
		{"no text", `{"version":1,"op":"add","pod":{"addrs":["10.0.0.300"]}}` + "\n", `ParseAddr("10.0.0.300"): IPv4 field has value >255`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadRequest(strings.NewReader(tt.line))
			if err == nil {
				t.Fatal("it was taken")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	_, err := ReadRequest(io.MultiReader(strings.NewReader(`{"version":1,"op":"`), endless{}))
	if want := fmt.Sprintf("more than %d bytes", maxLine); err == nil || err.Error() != want {
		t.Errorf("an endless request: %v, want %s", err, want)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestAsk talks to an agent that plays a part.
func TestAsk(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	err := Ask(t.Context(), socket, Request{Op: Status})
	if !Unreachable(err) {
		t.Errorf("without a socket: %v", err)
	}
	answers := make(chan string, 1)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := ReadRequest(conn); err == nil {
				_, _ = io.WriteString(conn, <-answers)
			}
			_ = conn.Close()
		}
	}()
	for _, tt := range []struct{ name, answer, want string }{
		{"yes", `{"version":1}` + "\n", "<nil>"},
		{"no", `{"version":1,"error":{"kind":"late","message":"the reason"}}` + "\n", "the reason"},
		{"nothing", "", "answer of the agent: EOF"},
		{"half", `{"version"`, "answer of the agent: unexpected EOF"},
		{"another version", `{"version":3}` + "\n", "answer of the agent: version 3 of the protocol: expected 1: plugin and agent are of different builds; the agent installs the one that belongs to it"},
	} {
		answers <- tt.answer
		if err := Ask(t.Context(), socket, Request{Op: Status}); fmt.Sprint(err) != tt.want || Unreachable(err) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := AskUntil(ctx, socket, Request{Op: Status}); err == nil {
		t.Error("an answer although the context has ended")
	}
	// An agent that ends is not the last word: the next one is asked.
	answers <- `{"version":1,"error":{"kind":"stopping","message":"ends"}}` + "\n"
	done := make(chan error)
	go func() { done <- AskUntil(t.Context(), socket, Request{Op: Status}) }()
	answers <- ""
	answers <- `{"version":1}` + "\n"
	if err := <-done; err != nil {
		t.Errorf("after two agents that ended: %v", err)
	}
}

func TestRefuseIsBounded(t *testing.T) {
	var line bytes.Buffer
	if err := Write(&line, Refuse(Failed, errors.New(strings.Repeat("\x01", 1<<20)))); err != nil {
		t.Fatal(err)
	}
	if _, err := readReply(&line); err != nil {
		t.Error(err)
	}
}

// FuzzReadRequest holds that a request that is taken can be kept, and is written as it
// was read.
func FuzzReadRequest(f *testing.F) {
	pod := testPod()
	for _, q := range []Request{
		{Version: 1, Op: Add, Pod: &pod, WaitMillis: 20000, Keep: true},
		{Version: 1, Op: Del, Attachment: &pod.Attachment},
		{Version: 1, Op: GC, Network: "k8s", Valid: []Attachment{pod.Attachment}},
	} {
		var line bytes.Buffer
		if err := Write(&line, q); err != nil {
			f.Fatal(err)
		}
		f.Add(line.Bytes())
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		q, err := ReadRequest(bytes.NewReader(line))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := Write(&again, q); err != nil {
			t.Fatal(err)
		}
		second, err := ReadRequest(&again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(q, second, cmpAddr); diff != "" && !(len(q.Valid) == 0 && len(second.Valid) == 0) {
			t.Fatalf("-first +second:\n%s", diff)
		}
		if q.Pod == nil {
			return
		}
		b, err := json.Marshal(recordFile{recordVersion, Record{Pod: *q.Pod, Since: time.Unix(1, 0)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeRecord(b); err != nil {
			t.Fatal(err)
		}
		if path := Dir("/d").file(q.Pod.Attachment); filepath.Dir(path) != "/d" || len(filepath.Base(path)) > 255 {
			t.Fatalf("the record would be %s", path)
		}
	})
}
