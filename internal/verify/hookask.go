package verify

import (
	"fmt"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// ask has the kernel and the reference decide a packet, and compares.
func (h *hookVerifier) ask(hook policy.Hook, p dataplane.HookPacket, s site) {
	h.total++
	got := h.kernel.AtHook(hook, p)
	drop, d := h.want(hook, p, s)
	want := dataplane.HookOutcome{Drop: drop}
	if !drop {
		want.Mark = p.Mark
		if d.skips != dataplane.SkipsNothing {
			want.Mark |= h.mark
			want.Untracked = d.skips == dataplane.SkipsTracking
		}
	}
	if got.Drop {
		got = dataplane.HookOutcome{Drop: true}
	}
	if got == want {
		return
	}
	x := Difference{Flow: p.Flow, Direction: hook.Direction(), Kernel: verdictOf(got.Drop), Reference: verdictOf(drop), By: d.by, Host: packetText(hook, p, s)}
	if got.Drop == drop {
		x.Host += fmt.Sprintf(" (mark %#x and untracked %v, want %#x and %v)", got.Mark, got.Untracked, want.Mark, want.Untracked)
	}
	h.report.differ(x)
}

func verdictOf(drop bool) policy.Action {
	if drop {
		return policy.Deny
	}
	return policy.Allow
}

// packetText says where a packet was asked about, and what is special about it.
func packetText(hook policy.Hook, p dataplane.HookPacket, s site) string {
	text := "of no interface"
	if s.ep != nil {
		text = s.ep.Key.Name
	}
	text += " " + hook.String()
	if p.In != "" {
		text += " from " + p.In
	}
	if p.Out != "" {
		text += " to " + p.Out
	}
	if p.State != dataplane.PacketNew && !hook.Raw() {
		text += ", " + p.State.String()
	}
	if p.MidStream {
		text += ", not the first packet"
	}
	if p.Mark != 0 {
		text += fmt.Sprintf(", mark %#x", p.Mark)
	}
	if p.Alone {
		text += ", that alone"
	}
	if p.Link != 0 {
		text += fmt.Sprintf(", by the pod's interface %d", p.Link)
	}
	return text
}
