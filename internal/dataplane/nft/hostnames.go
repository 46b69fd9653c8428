package nft

import (
	"fmt"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// Host endpoints have chains of their own, which are there only while some host
// endpoint governs at their hook. For the hook input ("host-input") and a family:
//
//	chain host-input   (base) not from lo; source check of pods; established; neighbour
//	                   discovery; --endpoint-to-host Drop; what an early hook has let by;
//	                   failsafes; by family
//	chain host-input4  from the node's own pods: return (see tonode.go)
//	                   iifname vmap @host-input4-links (goto host-input4-at-eth0)
//	                   goto host-input4-all (the endpoint of all other interfaces)
//	chain host-input4-at-eth0   jump strict; a class switch (classswitch.go) by the local
//	                   side, to a program (hostprogram.go)
//
// Forwarded packets come here from forward4: "jump host-forward-in4" before pods
// are asked, "jump host-forward-out4" after. The two raw hooks and the one before
// DNAT are base chains of their own. There an Allow sets a bit of the packet mark,
// which the later hooks of the same host let by: see skipRules.
//

// hostBase says where a hook of host endpoints is in the kernel.
type hostBase struct {
	hook     policy.Hook
	kernel   uint32
	priority int32
}

// Conntrack is at -200, DNAT at -100.
const (
	rawPriority     = -300
	preDNATPriority = -150
)

var hostBases = []hostBase{
	{policy.HookRawIn, hookPrerouting, rawPriority},
	{policy.HookPreDNAT, hookPrerouting, preDNATPriority},
	{policy.HookInput, hookInput, priority},
	{policy.HookRawOut, hookOutput, rawPriority},
	{policy.HookOutput, hookOutput, priority},
}

func hostName(h policy.Hook) string              { return "host-" + h.String() }
func hostFamily(h policy.Hook, f int) string     { return hostName(h) + familyDigit[f] }
func hostLinks(h policy.Hook, family int) string { return hostFamily(h, family) + "-links" }

// attachmentName names the chain of an attachment. An interface's name may hold what a chain's
// may not, and '-', by which the parts of a chain's name are told apart.
func attachmentName(k dataplane.AttachmentKey) string {
	family := k.Family.Index()
	if k.Interface == policy.AllInterfaces {
		return hostFamily(k.Hook, family) + "-all"
	}
	name := ""
	for _, c := range []byte(k.Interface) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			name += string(rune(c))
		default:
			name += fmt.Sprintf("_%02x", c)
		}
	}
	return hostFamily(k.Hook, family) + "-at-" + name
}

func failsafeSet(dir policy.Direction) string {
	return [2]string{policy.Egress: "host-failsafe-out", policy.Ingress: "host-failsafe-in"}[dir]
}

// hostSide returns the field of the local side at a hook.
func hostSide(h policy.Hook) side {
	if h.Direction() == policy.Egress {
		return source
	}
	return destination
}

// ifKey is an interface's name as the kernel compares it.
func ifKey(name string) string {
	var key [codec.IfNameLen]byte
	copy(key[:], name)
	return string(key[:])
}

func hostProgramName(id dataplane.ProgramID) string { return fmt.Sprintf("host-program-%d", id) }

func programClassName(program string, c dataplane.ClassID) string {
	return fmt.Sprintf("%s-class-%d", program, c)
}
