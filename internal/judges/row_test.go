package judges

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/verify"
	"github.com/tierwall/tierwall/policy"
)

// row is one case of the table; see the package's documentation.
type row struct {
	name    string
	objects string // manifests
	flows   string
}

// np makes a Calico NetworkPolicy "namespace/name" of a spec.
func np(name, spec string) string {
	return object("projectcalico.org/v3", "NetworkPolicy", name, spec)
}

// gnp makes a Calico GlobalNetworkPolicy.
func gnp(name, spec string) string {
	return object("projectcalico.org/v3", "GlobalNetworkPolicy", name, spec)
}

// knp makes a Kubernetes NetworkPolicy "namespace/name".
func knp(name, spec string) string {
	return object("networking.k8s.io/v1", "NetworkPolicy", name, spec)
}

// tier makes a tier.
func tier(name, spec string) string {
	return object("projectcalico.org/v3", "Tier", name, spec)
}

// set makes a NetworkSet, or a GlobalNetworkSet if the name has no namespace. The
// label is "key: value".
func set(name, label, nets string) string {
	kind := "NetworkSet"
	if !strings.Contains(name, "/") {
		kind = "GlobalNetworkSet"
	}
	return strings.Replace(object("projectcalico.org/v3", kind, name, "nets: "+nets),
		"metadata: {", "metadata: {labels: {"+label+"}, ", 1)
}

// object makes a manifest. The tabs that indent the spec's lines in Go are not YAML's.
func object(apiVersion, kind, name, spec string) string {
	metadata := "name: " + name
	if namespace, name, ok := strings.Cut(name, "/"); ok {
		metadata = "namespace: " + namespace + ", name: " + name
	}
	var b strings.Builder
	fmt.Fprintf(&b, "---\napiVersion: %s\nkind: %s\nmetadata: {%s}\nspec:\n", apiVersion, kind, metadata)
	for line := range strings.Lines(spec) {
		if line = strings.TrimLeft(line, "\t"); strings.TrimSpace(line) != "" {
			b.WriteString("  " + strings.TrimRight(line, "\t\n") + "\n")
		}
	}
	return b.String()
}

// resources reads manifests.
func resources(t testing.TB, manifests string) []store.Resource {
	t.Helper()
	read, findings := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(manifests)})
	for _, f := range findings {
		t.Fatalf("%v\n%s", f, manifests)
	}
	return read
}

// flow is one connection with the verdict it must get.
type flow struct {
	policy.Flow
	from, to string
	anyPort  bool // from an ephemeral port
	allow    bool
}

// String names the ends and says what goes between them.
func (f flow) String() string { return f.from + " -> " + f.to + " (" + verify.FlowText(f.Flow) + ")" }

// firstEphemeral stands for every ephemeral source port.
const firstEphemeral = 49152

// parseFlows reads the flows of a row.
func parseFlows(text string) ([]flow, error) {
	var flows []flow
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		parsed, err := parseFlow(words)
		if err != nil {
			return nil, fmt.Errorf("flow %q: %w", strings.TrimSpace(line), err)
		}
		flows = append(flows, parsed...)
	}
	if len(flows) == 0 {
		return nil, errors.New("no flows")
	}
	return flows, oneWay(flows)
}

// parseFlow reads one line: it may mean several ports and both families.
func parseFlow(words []string) ([]flow, error) {
	if len(words) < 5 || words[1] != "->" {
		return nil, errors.New("expected FROM -> TO PROTOCOL ... VERDICT")
	}
	f := flow{from: words[0], to: words[2]}
	kind, details, verdict := words[3], words[4:len(words)-1], words[len(words)-1]
	for _, name := range []string{f.from, f.to} {
		if _, ok := addresses[name]; !ok {
			return nil, fmt.Errorf("there is no %q in the cluster", name)
		}
	}
	if verdict != "Allow" && verdict != "Deny" {
		return nil, fmt.Errorf("verdict %q: expected Allow or Deny", verdict)
	}
	f.allow = verdict == "Allow"
	families := []int{0, 1}
	if n := len(details); n > 0 && (details[n-1] == "v4" || details[n-1] == "v6") {
		families = families[:1]
		if details[n-1] == "v6" {
			families[0] = 1
		}
		details = details[:n-1]
	}
	if len(details) > 1 {
		return nil, fmt.Errorf("too many words: %q", details)
	}
	detail := strings.Join(details, "")
	var flows []flow
	for _, family := range families {
		f.Src, f.Dst = addresses[f.from][family], addresses[f.to][family]
		kinds, err := f.ofKind(kind, detail, family)
		if err != nil {
			return nil, err
		}
		flows = append(flows, kinds...)
	}
	if len(flows) == 0 {
		return nil, fmt.Errorf("%s has not that family", kind)
	}
	return flows, nil
}

// ofKind returns the flow its protocol, and its ports or type. There is none where
// the protocol is not of the family.
func (f flow) ofKind(kind, detail string, family int) ([]flow, error) {
	var err error
	switch kind {
	case "ping":
		f.Protocol, f.ICMPType = policy.ICMP, 8
		if family == 1 {
			f.Protocol, f.ICMPType = policy.ICMPv6, 128
		}
		return []flow{f}, nil
	case "ICMP", "ICMPv6":
		if (kind == "ICMPv6") != (family == 1) {
			return nil, nil
		}
		typ, code, coded := strings.Cut(detail, "/")
		f.ICMPType, err = number[uint8](typ)
		if coded && err == nil {
			f.ICMPCode, err = number[uint8](code)
		}
	}
	if err != nil {
		return nil, err
	}
	if f.Protocol, err = policy.ParseProtocol(kind); err != nil {
		return nil, err
	}
	if !f.Protocol.HasPorts() {
		return []flow{f}, nil
	}
	from, ports, ok := strings.Cut(detail, ">")
	if !ok {
		from, ports = strconv.Itoa(firstEphemeral), detail
	}
	f.anyPort = !ok
	if f.SrcPort, err = number[uint16](from); err != nil {
		return nil, err
	}
	var flows []flow
	for port := range strings.SplitSeq(ports, ",") {
		if f.DstPort, err = number[uint16](port); err != nil {
			return nil, err
		}
		flows = append(flows, f)
	}
	return flows, nil
}

func number[T uint8 | uint16](text string) (T, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 && any(T(0)) == any(uint16(0)) || uint64(T(n)) != n {
		return 0, fmt.Errorf("%q is no port, or no ICMP type or code", text)
	}
	return T(n), nil
}

// oneWay refuses flows that a kernel cannot tell from replies to others: those of
// protocols without ports, there and back.
func oneWay(flows []flow) error {
	type ends struct {
		from, to string
		protocol policy.Protocol
	}
	seen := map[ends]bool{}
	for _, f := range flows {
		if f.Protocol.HasPorts() || f.Protocol.IsICMP() {
			continue
		}
		seen[ends{f.from, f.to, f.Protocol}] = true
		if f.from != f.to && seen[ends{f.to, f.from, f.Protocol}] {
			return fmt.Errorf("%s: a packet of protocol %d looks like a reply to one the other way", f, f.Protocol)
		}
	}
	return nil
}
