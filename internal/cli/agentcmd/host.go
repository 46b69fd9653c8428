package agentcmd

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// hostFlags are the flags of an agent about its own host.
type hostFlags struct {
	failsafeIn, failsafeOut []string
	toHost                  string
	mark                    string

	settings dataplane.HostSettings // parsed
}

func (o *hostFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	in, out := policy.DefaultFailsafes()
	f.StringSliceVar(&o.failsafeIn, "failsafe-in", failsafeTexts(in), "ports of this host that stay open whatever policy of host endpoints says; none: no port")
	f.StringSliceVar(&o.failsafeOut, "failsafe-out", failsafeTexts(out), "ports that this host may connect to whatever policy of host endpoints says; none: no port")
	f.StringVar(&o.toHost, "endpoint-to-host", "", "what becomes of connections from pods to their own host that the pods' policies allow: Accept, Drop, or Return, which leaves them to other rules of the host (default: Accept with --store kube, else Drop)")
	f.StringVar(&o.mark, "host-mark", fmt.Sprintf("%#x", dataplane.DefaultMark), "bit of the packet mark that policy with preDNAT or doNotTrack uses; no other program may set it")
	flags.CompleteEndpointToHost(cmd)
}

func failsafeTexts(list []policy.Failsafe) []string {
	var texts []string
	for _, f := range list {
		texts = append(texts, fmt.Sprintf("%s:%d", strings.ToLower(f.Protocol.String()), f.Port))
	}
	return texts
}

// complete reads the flags; kube says that the store is a cluster, where defaults differ.
func (o *hostFlags) complete(cmd *cobra.Command, kube bool) error {
	var err error
	if o.settings.FailsafeIn, err = parseFailsafes(o.failsafeIn); err != nil {
		return command.UsageError(cmd, fmt.Errorf("--failsafe-in: %w", err))
	}
	if o.settings.FailsafeOut, err = parseFailsafes(o.failsafeOut); err != nil {
		return command.UsageError(cmd, fmt.Errorf("--failsafe-out: %w", err))
	}
	switch {
	case o.toHost != "":
		if o.settings.EndpointToHost, err = flags.ParseEndpointToHost(o.toHost); err != nil {
			return command.UsageError(cmd, err)
		}
	case kube:
		o.settings.EndpointToHost = policy.Allow
	default:
		o.settings.EndpointToHost = policy.Deny
	}
	mark, err := strconv.ParseUint(o.mark, 0, 32)
	if err != nil || mark == 0 || mark&(mark-1) != 0 {
		return command.UsageError(cmd, fmt.Errorf("--host-mark %s: expected one bit, such as %#x", o.mark, dataplane.DefaultMark))
	}
	o.settings.Mark = uint32(mark)
	return nil
}

// parseFailsafes reads "tcp:22", "udp:53".
func parseFailsafes(texts []string) ([]policy.Failsafe, error) {
	if len(texts) == 1 && texts[0] == "none" {
		return nil, nil
	}
	var list []policy.Failsafe
	for _, text := range texts {
		protocol, port, ok := strings.Cut(strings.TrimSpace(text), ":")
		proto, err := flags.ParseProtocol(protocol)
		if !ok || err != nil || !proto.HasPorts() {
			return nil, fmt.Errorf("%q: expected a protocol and a port, such as tcp:22, or none", text)
		}
		n, err := flags.ParsePort(port)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		if f := (policy.Failsafe{Protocol: proto, Port: n}); !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list, nil
}

// serverAddress reads the address of an API server, where it is given by address.
func serverAddress(host string) netip.AddrPort {
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	u, err := url.Parse(host)
	if err != nil {
		return netip.AddrPort{}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80"}[u.Scheme]
	}
	if port == "" {
		port = "443"
	}
	a, err := netip.ParseAddrPort(u.Host)
	if err != nil {
		a, err = netip.ParseAddrPort(strings.TrimSuffix(u.Host, ":") + ":" + port)
	}
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
