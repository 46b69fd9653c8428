package agent

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/lab"
)

// rebindingYAML is the rest of a cluster: at addresses of the lab's world, so that packets
// to them would arrive.
const rebindingYAML = `apiVersion: v1
kind: Pod
metadata: {name: there, namespace: app}
spec: {nodeName: elsewhere, containers: [{name: c}]}
status: {podIP: 198.18.1.1, podIPs: [{ip: 198.18.1.1}], hostIP: 198.18.1.3}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: app}
spec: {clusterIP: 198.18.1.2, clusterIPs: [198.18.1.2], ports: [{port: 443, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: app}
spec: {type: LoadBalancer, clusterIP: 198.18.1.9, clusterIPs: [198.18.1.9], ports: [{port: 443, protocol: UDP}]}
status: {loadBalancer: {ingress: [{ip: 198.18.1.4}, {ip: 198.18.1.5}]}}
---
apiVersion: v1
kind: Node
metadata: {name: elsewhere}
status: {addresses: [{type: InternalIP, address: 198.18.1.4}]}
`

// podYAML is a pod on another node at an address.
func podYAML(name, addr string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: app}\nspec: {nodeName: elsewhere, containers: [{name: c}]}\n" +
		"status: {podIP: " + addr + ", podIPs: [{ip: " + addr + "}]}\n"
}

// refused returns why an address is refused that names have; "" if it is not.
func (h *dnsHost) refused(a netip.Addr) string {
	for _, n := range h.known().Known {
		for _, x := range n.Addresses {
			if x.Address == a {
				return x.Refused
			}
		}
	}
	return ""
}

// TestRebinding: a name that somebody else's server answers for opens nothing of the
// cluster, whatever becomes of addresses after the answer.
func TestRebinding(t *testing.T) {
	h := newDNSHost(t)
	h.write("rest.yaml", rebindingYAML)
	h.startAgent()
	h.listening()
	// Names are those of the zone: n257 is 198.18.1.1, and so on.
	for _, tt := range []struct {
		name, refused string
	}{
		{"n257.shop.example", "endpoint"},
		{"n258.shop.example", "cluster-ip"},
		{"n259.shop.example", "node"}, // as the pod there tells
		{"n260.shop.example", ""},     // a node's, and a load balancer's
		{"n261.shop.example", ""},
		{"n262.shop.example", ""},
		{"n265.shop.example", "cluster-ip"},
		{"alias-n257.shop.example", "endpoint"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			a := h.learned(network, tt.name, dns.TypeA)
			patience := soon
			if tt.refused != "" {
				patience = wait
			}
			if open := h.reaches(a, 443, patience); open != (tt.refused == "") {
				t.Errorf("%s at %s: open is %v", tt.name, a, open)
			}
			if got := h.refused(a); got != tt.refused {
				t.Errorf("%s at %s is shown as refused for %q, want %q", tt.name, a, got, tt.refused)
			}
		}
	}
	for reason, least := range map[string]uint64{"endpoint": 4, "cluster-ip": 4, "node": 2} {
		if got := h.known().Refused[reason]; got < least {
			t.Errorf("%d addresses are refused as %s, want at least %d", got, reason, least)
		}
	}
	if code := h.start("verify").wait(t); code != 0 {
		t.Error("the kernel does not decide as policy says of what was refused")
	}

	// An address that a name has, and a pod gets.
	a := h.learned("udp", "n300.shop.example", dns.TypeA)
	if !h.reaches(a, 443, soon) {
		t.Fatal("an address that is nobody's is closed")
	}
	live, err := h.dial(t.Context(), "udp", netip.AddrPortFrom(a, 443))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = live.Close() }()
	answered := func() bool {
		_, _ = live.Write([]byte("x"))
		_ = live.SetReadDeadline(time.Now().Add(wait))
		_, err := live.Read(make([]byte, 512))
		return err == nil
	}
	h.eventually("a connection lives", answered)
	h.write("late.yaml", podYAML("late", a.String()))
	h.eventually("the pod's address is refused", func() bool { return h.refused(a) == "endpoint" })
	h.eventually("it is closed", func() bool { return !h.reaches(a, 443, wait) })
	h.eventually("the connection has ended", func() bool { return !answered() })
	h.write("late.yaml", podYAML("late", "198.18.9.9"))
	h.eventually("it counts again when it is nobody's", func() bool { return h.refused(a) == "" && h.reaches(a, 443, wait) })
}

// TestAnswersAboutOthers: the zone of a name that was asked for says nothing of names of
// others, over UDP and TCP.
func TestAnswersAboutOthers(t *testing.T) {
	h := newDNSHost(t)
	h.startAgent()
	h.listening()
	for _, network := range []string{"udp", "tcp"} {
		// steal-n400.evil.example is an alias of n400.shop.example, "at" 198.18.1.144.
		addrs, err := h.resolve(network, trusted, "steal-n400.evil.example", dns.TypeA)
		if err != nil || len(addrs) != 1 {
			t.Fatalf("%v %v", addrs, err)
		}
		if h.reaches(addrs[0], 443, wait) {
			t.Errorf("over %s: an alias in another zone opens an address for the name that it is of", network)
		}
	}
	k := h.known()
	if len(k.Aliases) != 1 || k.Aliases[0].Asked != "steal-n400.evil.example" || k.Aliases[0].Alias != "n400.shop.example" {
		t.Errorf("aliases that are noted: %+v", k.Aliases)
	}
	if !h.reaches(h.learned("udp", "n400.shop.example", dns.TypeA), 443, soon) {
		t.Error("the name's own answer does not open its address")
	}
	if k = h.known(); len(k.Aliases) != 1 {
		t.Errorf("aliases that are noted: %+v", k.Aliases)
	}
}

// TestNamespaceShare: a tenant whose pod asks for more names than a node has room for
// keeps nobody else from learning.
func TestNamespaceShare(t *testing.T) {
	const limit = 20
	h := newDNSHost(t)
	t.Setenv(dnsLimitVariable, strconv.Itoa(limit))
	flood, err := h.lab.AddHost(lab.HostConfig{Name: "flood", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.7")}})
	if err != nil {
		t.Fatal(err)
	}
	h.write("tenant.yaml", `apiVersion: v1
kind: Pod
metadata: {name: flood, namespace: tenant}
spec: {nodeName: here, containers: [{name: c}]}
status: {podIP: 10.0.0.7, podIPs: [{ip: 10.0.0.7}]}
`)
	h.startAgent()
	h.listening()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 2 * limit {
		if _, err := h.resolveOn(ctx, flood, "udp", trusted, fmt.Sprintf("n%d.shop.example", 600+i), dns.TypeA); err != nil {
			t.Fatal(err)
		}
	}
	full := h.known()
	if full.Addresses != limit || full.Limited == 0 {
		t.Errorf("after the flood %d addresses are known, %d limited", full.Addresses, full.Limited)
	}
	for i := range limit/2 - 1 { // with the name that listening asks for, half of the room
		if a := h.learned("udp", fmt.Sprintf("n%d.shop.example", 700+i), dns.TypeA); !h.reaches(a, 443, soon) {
			t.Errorf("no room for answer %d of another namespace", i)
		}
	}
	var tenant *dnslearner.NamespaceUse
	k := h.known()
	for i := range k.Namespaces {
		if u := &k.Namespaces[i]; u.Namespace == "tenant" {
			tenant = u
		}
	}
	if k.Addresses != limit || tenant == nil || tenant.Addresses > limit/2 || tenant.Limited == 0 {
		t.Errorf("%d addresses are known; shares: %+v", k.Addresses, k.Namespaces)
	}
}
