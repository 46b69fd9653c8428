package flags

import (
	"fmt"
	"net/netip"

	"github.com/spf13/pflag"
)

// Prefixes is a flag of CIDRs and addresses.
type Prefixes []netip.Prefix

var _ pflag.Value = (*Prefixes)(nil)

// String returns nothing: the flag has no default.
func (p *Prefixes) String() string { return "" }

// Type names what the flag takes.
func (p *Prefixes) Type() string { return "CIDR" }

// Set adds one.
func (p *Prefixes) Set(text string) error {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		*p = append(*p, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("expected a CIDR such as 192.0.2.0/24, or an address")
	}
	*p = append(*p, n.Masked())
	return nil
}
