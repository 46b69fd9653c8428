package nft

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// The numbers of linux/netfilter/xt_NFQUEUE.h and nf_tables_compat.h.
const (
	queueBypass = 1 // NFT_QUEUE_FLAG_BYPASS, NFQ_FLAG_BYPASS

	targetName = 1 // NFTA_TARGET_NAME
	targetRev  = 2 // NFTA_TARGET_REV
	targetInfo = 3 // NFTA_TARGET_INFO

	nfqueueTarget   = "NFQUEUE"
	nfqueueRevision = 3
	nfqueueInfo     = 8 // bytes of xt_NFQ_info_v3, padded
)

// writeTapExpr writes the expressions that only the tap of answers uses.
func writeTapExpr(w *nfnl.Writer, e expr) {
	switch e.kind {
	case ctOriginal:
		const original = 0 // IP_CT_DIR_ORIGINAL
		w.Uint32(unix.NFTA_CT_KEY, e.key)
		w.Uint32(unix.NFTA_CT_DREG, e.register)
		w.Uint8(unix.NFTA_CT_DIRECTION, original)
	case queueTo:
		w.Uint16(unix.NFTA_QUEUE_NUM, uint16(e.key))
		w.Uint16(unix.NFTA_QUEUE_TOTAL, 1)
		w.Uint16(unix.NFTA_QUEUE_FLAGS, queueBypass)
	case queueTarget:
		info := make([]byte, nfqueueInfo)
		binary.NativeEndian.PutUint16(info, uint16(e.key))
		binary.NativeEndian.PutUint16(info[2:], 1) // queues
		binary.NativeEndian.PutUint16(info[4:], queueBypass)
		w.String(targetName, nfqueueTarget)
		w.Uint32(targetRev, nfqueueRevision)
		w.Bytes(targetInfo, info)
	}
}

// readQueue reads a queue expression, or the target that stands for it.
func readQueue(name string, a nfnl.Attrs) (expr, error) {
	foreign := fmt.Errorf("expression %q is used in a way that is none of ours", name)
	if name == "queue" {
		e := expr{kind: queueTo, key: uint32(a.Get(unix.NFTA_QUEUE_NUM).Uint16())}
		if a.Get(unix.NFTA_QUEUE_TOTAL).Uint16() != 1 || a.Get(unix.NFTA_QUEUE_FLAGS).Uint16() != queueBypass {
			return expr{}, foreign
		}
		return e, only(a, `expression "queue"`, unix.NFTA_QUEUE_NUM, unix.NFTA_QUEUE_TOTAL, unix.NFTA_QUEUE_FLAGS)
	}
	info := a.Get(targetInfo)
	if a.Get(targetName).String() != nfqueueTarget || a.Get(targetRev).Uint32() != nfqueueRevision || len(info) < 6 ||
		binary.NativeEndian.Uint16(info[2:]) != 1 || binary.NativeEndian.Uint16(info[4:]) != queueBypass {
		return expr{}, foreign
	}
	return expr{kind: queueTarget, key: uint32(binary.NativeEndian.Uint16(info))}, only(a, `expression "target"`, targetName, targetRev, targetInfo)
}
