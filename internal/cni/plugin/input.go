package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

func parseConf(stdin []byte) (wire.Conf, error) {
	conf, err := wire.ParseConf(stdin)
	if err != nil {
		return wire.Conf{}, types.NewError(types.ErrInvalidNetworkConfig, "tierwall: the plugin's configuration: "+err.Error(), "")
	}
	return conf, nil
}

// previous is the result of the plugins before this one.
type previous struct {
	raw json.RawMessage
	// written has the version that it was written in, parsed the latest.
	written types.Result
	parsed  *types100.Result
	// version is that of the configuration, which a result must have too, and
	// network its name.
	version, network string
}

func parsePrevious(stdin []byte) (*previous, error) {
	var in struct {
		CNIVersion string          `json:"cniVersion"`
		Name       string          `json:"name"`
		PrevResult json.RawMessage `json:"prevResult"`
	}
	if err := json.Unmarshal(stdin, &in); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "tierwall: the plugin's configuration: "+err.Error(), "")
	}
	if len(in.PrevResult) == 0 || bytes.Equal(in.PrevResult, []byte("null")) {
		return nil, types.NewError(types.ErrInvalidNetworkConfig,
			"tierwall: there is no prevResult: the plugin must come after the one that gives pods their addresses", "")
	}
	p := &previous{raw: in.PrevResult, version: in.CNIVersion, network: in.Name}
	var err error
	if p.written, err = version.NewResult(in.CNIVersion, p.versioned()); err == nil {
		p.parsed, err = types100.NewResultFromResult(p.written)
	}
	if err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "tierwall: prevResult: "+err.Error(), "")
	}
	return p, nil
}

// versioned returns the result with a version: those before 1.0.0 may lack one, and are
// then of the configuration's.
func (p *previous) versioned() []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(p.raw, &fields) != nil || fields == nil {
		return p.raw // NewResult says what is wrong
	}
	if v := fields["cniVersion"]; len(v) > 0 && string(v) != `""` {
		return p.raw
	}
	fields["cniVersion"], _ = json.Marshal(p.version)
	b, err := json.Marshal(fields)
	if err != nil {
		return p.raw
	}
	return b
}

// output returns the result as it came, with fields that we do not know, if it is of
// the right version, as it must be.
func (p *previous) output() ([]byte, error) {
	var head struct {
		CNIVersion string `json:"cniVersion"`
	}
	if err := json.Unmarshal(p.raw, &head); err == nil && head.CNIVersion == p.version {
		return append(bytes.Clone(p.raw), '\n'), nil
	}
	converted, err := p.written.GetAsVersion(p.version)
	if err != nil {
		return nil, types.NewError(types.ErrIncompatibleCNIVersion, "tierwall: prevResult: "+err.Error(), "")
	}
	var out bytes.Buffer
	if err := converted.PrintTo(&out); err != nil {
		return nil, types.NewError(types.ErrInternal, "tierwall: prevResult: "+err.Error(), "")
	}
	return append(out.Bytes(), '\n'), nil
}

// addrs returns all addresses of the pod, each once, in their order.
func (p *previous) addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, c := range p.parsed.IPs {
		if c == nil {
			continue
		}
		if a, ok := netip.AddrFromSlice(c.Address.IP); ok && !slices.Contains(addrs, a.Unmap()) {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs
}

// kubernetesArgs are those of CNI_ARGS that tell whose sandbox it is.
type kubernetesArgs struct {
	types.CommonArgs
	K8S_POD_NAMESPACE types.UnmarshallableString //nolint:revive,staticcheck // the name is the variable's
	K8S_POD_NAME      types.UnmarshallableString //nolint:revive,staticcheck // as above
	K8S_POD_UID       types.UnmarshallableString //nolint:revive,staticcheck // as above
}

// podID says whose sandbox it is.
func podID(args *skel.CmdArgs) (wire.PodID, error) {
	var k kubernetesArgs
	k.IgnoreUnknown = true
	if err := types.LoadArgs(args.Args, &k); err != nil {
		return wire.PodID{}, types.NewError(types.ErrInvalidEnvironmentVariables, "tierwall: CNI_ARGS: "+err.Error(), "")
	}
	if k.K8S_POD_NAMESPACE == "" || k.K8S_POD_NAME == "" {
		return wire.PodID{}, types.NewError(types.ErrInvalidEnvironmentVariables,
			"tierwall: CNI_ARGS has no K8S_POD_NAMESPACE and K8S_POD_NAME: policy is for pods of Kubernetes, and a sandbox of anything else cannot be told apart from one without policy", "")
	}
	return wire.PodID{
		Namespace: string(k.K8S_POD_NAMESPACE), Name: string(k.K8S_POD_NAME), UID: string(k.K8S_POD_UID),
		Attachment: wire.Attachment{Container: args.ContainerID, Interface: args.IfName},
	}, nil
}

// describe puts together what the agent wants to know.
func describe(id wire.PodID, netns string, prev *previous) (wire.Pod, error) {
	l := findLink(id, netns, prev.parsed.Interfaces)
	pod := wire.Pod{
		PodID: id, Network: prev.network, Addrs: prev.addrs(),
		HostInterface: l.host, HostIndex: l.index, MAC: l.mac, NetNS: netns, Runtime: runtime(),
	}
	if err := pod.Check(); err != nil {
		return wire.Pod{}, types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf("tierwall: result of the plugins before: %v", err), "")
	}
	return pod, nil
}

// runtime returns the name of the program that has executed this one, or "" if the name is an odd
// one. It decides nothing about the pod.
func runtime() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", os.Getppid()))
	name := strings.TrimSpace(string(b))
	if err != nil || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return name
}

// validAttachments reads what a GC says.
func validAttachments(stdin []byte) (network string, valid []wire.Attachment, err error) {
	var in types.PluginConf
	if err := json.Unmarshal(stdin, &in); err != nil {
		return "", nil, types.NewError(types.ErrDecodingFailure, "tierwall: the plugin's configuration: "+err.Error(), "")
	}
	for _, a := range in.ValidAttachments {
		valid = append(valid, wire.Attachment{Container: a.ContainerID, Interface: a.IfName})
	}
	return in.Name, valid, nil
}
