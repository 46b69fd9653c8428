package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// flowOptions are the flags that describe a connection, apart from its ends.
type flowOptions struct {
	protocol           string
	port, sourcePort   string // empty: the default
	icmpType, icmpCode string // empty: the default
	family             int    // 0: the default
	portIsOptional     bool   // the destination may have only one

	host  hostFlow
	http  httpFlow
	proto policy.Protocol // parsed
}

func (o *flowOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.protocol, "protocol", "TCP", "TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite or a protocol number")
	f.StringVar(&o.port, "port", "", "destination port, by number or by the name that the destination gives it")
	f.StringVar(&o.sourcePort, "source-port", "", "source port (default: any ephemeral one, 49152-65535)")
	f.StringVar(&o.icmpType, "icmp-type", "", "ICMP type (default: echo request)")
	f.StringVar(&o.icmpCode, "icmp-code", "", "ICMP code (default: 0)")
	o.host.register(cmd)
	o.http.register(f)
	f.IntVar(&o.family, "family", 0, "IP version, 4 or 6 (default: 4 where both ends have it)")
	flags.Complete(cmd, "protocol", flags.Protocols...)
	flags.Complete(cmd, "family", "4", "6")
}

// parse checks what can be checked without the model.
func (o *flowOptions) parse(cmd *cobra.Command) error {
	fail := func(format string, args ...any) error { return command.UsageError(cmd, fmt.Errorf(format, args...)) }
	if err := o.host.parse(); err != nil {
		return command.UsageError(cmd, err)
	}
	var err error
	if o.proto, err = flags.ParseProtocol(o.protocol); err != nil {
		return fail("--protocol: %w", err)
	}
	if err := o.http.parse(o.proto); err != nil {
		return command.UsageError(cmd, err)
	}
	if o.family != 0 && o.family != 4 && o.family != 6 {
		return fail("--family %d: expected 4 or 6", o.family)
	}
	if !o.proto.HasPorts() {
		for _, f := range [][2]string{{"--port", o.port}, {"--source-port", o.sourcePort}} {
			if f[1] != "" {
				return fail("%s %s: policy knows no ports of protocol %s: leave it out", f[0], f[1], o.proto)
			}
		}
	} else if o.port == "" && !o.portIsOptional {
		return fail("--port is needed: the destination port of the %s connection", o.proto)
	}
	if o.sourcePort != "" {
		if _, err := flags.ParsePort(o.sourcePort); err != nil {
			return fail("--source-port: %w", err)
		}
	}
	for _, f := range [][2]string{{"--icmp-type", o.icmpType}, {"--icmp-code", o.icmpCode}} {
		if f[1] == "" {
			continue
		}
		if !o.proto.IsICMP() {
			return fail("%s needs --protocol ICMP or ICMPv6, not %s", f[0], o.proto)
		}
		if _, err := strconv.ParseUint(f[1], 10, 8); err != nil {
			return fail("%s %s: expected a number from 0 to 255", f[0], f[1])
		}
	}
	return nil
}

// connect puts the two ends, the protocol and the ports together to a flow.
func (x *explanation) connect(src, dst ends.End, o *flowOptions) error {
	family, err := chooseFamily(src, dst, policy.Family(o.family))
	if err != nil {
		return err
	}
	x.src, x.dst = x.use(src, family), x.use(dst, family)
	x.flow = policy.Flow{Src: x.src.Addr, Dst: x.dst.Addr, Protocol: o.proto}
	o.host.apply(x)
	o.http.apply(x)
	if o.proto.HasPorts() {
		x.flow.SrcPort = firstEphemeral
		if o.sourcePort != "" {
			x.flow.SrcPort, _ = flags.ParsePort(o.sourcePort) // checked by parse
		}
		x.flow.DstPort, err = destinationPort(o.port, o.proto, dst)
		return err
	}
	if !o.proto.IsICMP() {
		return nil
	}
	byName := strings.EqualFold(o.protocol, o.proto.String())
	if byName && o.proto == policy.ICMP && family == policy.IPv6 {
		return fmt.Errorf("--protocol ICMP: the connection is IPv6: did you mean ICMPv6?")
	}
	if byName && o.proto == policy.ICMPv6 && family == policy.IPv4 {
		return fmt.Errorf("--protocol ICMPv6: the connection is IPv4: did you mean ICMP, or --family 6?")
	}
	x.flow.ICMPType = map[policy.Protocol]uint8{policy.ICMP: 8, policy.ICMPv6: 128}[o.proto] // echo request
	for field, text := range map[*uint8]string{&x.flow.ICMPType: o.icmpType, &x.flow.ICMPCode: o.icmpCode} {
		if text != "" {
			n, _ := strconv.ParseUint(text, 10, 8) // checked by parse
			*field = uint8(n)
		}
	}
	return nil
}

// use returns the end with its address of the family chosen.
func (x *explanation) use(e ends.End, family policy.Family) ends.End {
	of := addrsOf(e, family)
	e.Addr = of[0]
	if e.HostPod != "" {
		x.notes = append(x.notes, fmt.Sprintf("%s uses its node's network: this is the answer for the node", e.HostPod))
	}
	if len(of) > 1 {
		x.notes = append(x.notes, fmt.Sprintf("%s has %d IPv%d addresses: %s is used; give another one instead of the name to ask for it",
			e.Name, len(of), family, e.Addr))
	}
	return e
}

// chooseFamily returns the family that both ends have: the one asked for, or
// else IPv4, or else IPv6.
func chooseFamily(src, dst ends.End, asked policy.Family) (policy.Family, error) {
	for _, family := range policy.Families {
		if asked != policy.AnyFamily && asked != family {
			continue
		}
		if len(addrsOf(src, family)) > 0 && len(addrsOf(dst, family)) > 0 {
			return family, nil
		}
	}
	for _, e := range []ends.End{src, dst} {
		if asked != policy.AnyFamily && len(addrsOf(e, asked)) == 0 {
			return 0, fmt.Errorf("--family %d: %s has no IPv%d address", asked, e.Name, asked)
		}
	}
	return 0, fmt.Errorf("%s is IPv%d and %s is IPv%d: they have no family in common",
		src.Name, policy.FamilyOf(src.Addrs[0]), dst.Name, policy.FamilyOf(dst.Addrs[0]))
}

func addrsOf(e ends.End, family policy.Family) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(e.Addrs), func(a netip.Addr) bool { return policy.FamilyOf(a) != family })
}

// destinationPort reads --port: a number, or a name that the destination gives a port.
func destinationPort(text string, proto policy.Protocol, dst ends.End) (uint16, error) {
	port, err := flags.ParsePort(text)
	if err == nil || dst.Endpoint == nil || strings.ContainsAny(text[:1], "-0123456789") {
		if err != nil {
			err = fmt.Errorf("--port: %w", err)
		}
		return port, err
	}
	var names []string
	for _, np := range dst.Endpoint.Ports {
		if np.Protocol == proto && np.Name == text {
			return np.Port, nil
		}
		if np.Protocol == proto {
			names = append(names, np.Name)
		}
	}
	hint := suggest.Several(text, names)
	if hint == "" && len(names) > 0 {
		hint = "; its names are " + strings.Join(names, ", ")
	}
	return 0, fmt.Errorf("--port %s: %s gives no %s port this name%s", text, dst.Name, proto, hint)
}
