package hostlink

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// KeepReservedGroups has a bridge learn nothing from frames to the groups that bridges keep
// to themselves (spanning trees, LLDP). It does not forward them, and so asks no rule about
// them; but what it learns from their sender's address moves other frames. Bridges that
// speak to others learn that address from all that they send beside. The bridge is one of the caller's network namespace.
func KeepReservedGroups(bridge int) error {
	const (
		multiBoolOpt     = 46 // IFLA_BR_MULTI_BOOLOPT
		noLinkLocalLearn = 1  // 1 << BR_BOOLOPT_NO_LL_LEARN
	)
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(bridge)
	req.AddData(msg)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	option := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, noLinkLocalLearn), noLinkLocalLearn)
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(multiBoolOpt, option)
	req.AddData(info)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("bridge %d: no_linklocal_learn: %w", bridge, err)
	}
	return nil
}
