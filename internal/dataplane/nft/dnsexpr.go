package nft

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// The numbers of linux/netfilter/xt_NFQUEUE.h and nf_tables_compat.h.
const (
	queueBypass = 1 // NFT_QUEUE_FLAG_BYPASS, NFQ_FLAG_BYPASS: packets pass if nobody reads the queue

	targetName = 1 // NFTA_TARGET_NAME
	targetRev  = 2 // NFTA_TARGET_REV
	targetInfo = 3 // NFTA_TARGET_INFO

	// Of linux/netfilter/nf_tables.h.
	dynsetName      = 1 // NFTA_DYNSET_SET_NAME
	dynsetID        = 2 // NFTA_DYNSET_SET_ID
	dynsetOperation = 3 // NFTA_DYNSET_OP
	dynsetKey       = 4 // NFTA_DYNSET_SREG_KEY
	dynsetTimeout   = 6 // NFTA_DYNSET_TIMEOUT
	dynsetPad       = 8 // NFTA_DYNSET_PAD
	dynsetFlags     = 9 // NFTA_DYNSET_FLAGS
	dynsetUpdate    = 1 // NFT_DYNSET_OP_UPDATE

	nfqueueTarget   = "NFQUEUE"
	nfqueueRevision = 3
	nfqueueInfo     = 8 // bytes of xt_NFQ_info_v3, padded
)

// writeDNSExpr writes the expressions that only the table of DNS answers uses.
func writeDNSExpr(w *nfnl.Writer, e expr) {
	switch e.kind {
	case ctOriginal:
		const original = 0 // IP_CT_DIR_ORIGINAL
		w.Uint32(unix.NFTA_CT_KEY, e.key)
		w.Uint32(unix.NFTA_CT_DREG, e.register)
		w.Uint8(unix.NFTA_CT_DIRECTION, original)
	case queueTo:
		w.Uint16(unix.NFTA_QUEUE_NUM, uint16(e.key))
		w.Uint16(unix.NFTA_QUEUE_TOTAL, 1)
		w.Uint16(unix.NFTA_QUEUE_FLAGS, uint16(e.length))
	case refresh:
		w.String(dynsetName, e.set)
		w.Uint32(dynsetOperation, dynsetUpdate)
		w.Uint32(dynsetKey, e.register)
		w.Uint64(dynsetTimeout, uint64(e.key))
	case queueTarget:
		info := make([]byte, nfqueueInfo)
		binary.NativeEndian.PutUint16(info, uint16(e.key))
		binary.NativeEndian.PutUint16(info[2:], 1) // queues
		binary.NativeEndian.PutUint16(info[4:], uint16(e.length))
		w.String(targetName, nfqueueTarget)
		w.Uint32(targetRev, nfqueueRevision)
		w.Bytes(targetInfo, info)
	}
}

// readQueue reads a queue expression, or the target that stands for it.
func readQueue(name string, a nfnl.Attrs) (expr, error) {
	foreign := fmt.Errorf("expression %q is used in a way that is none of ours", name)
	if name == "queue" {
		e := expr{kind: queueTo, key: uint32(a.Get(unix.NFTA_QUEUE_NUM).Uint16()), length: queueBypass}
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
	return expr{kind: queueTarget, key: uint32(binary.NativeEndian.Uint16(info)), length: queueBypass}, only(a, `expression "target"`, targetName, targetRev, targetInfo)
}

// readRefresh reads the expression by which packets put themselves into a set.
func readRefresh(a nfnl.Attrs) (expr, error) {
	timeout := a.Get(dynsetTimeout).Uint64()
	e := expr{kind: refresh, register: a.Get(dynsetKey).Uint32(), set: a.Get(dynsetName).String(), key: uint32(timeout)}
	if a.Get(dynsetOperation).Uint32() != dynsetUpdate || uint64(e.key) != timeout || a.Get(dynsetFlags).Uint32() != 0 {
		return expr{}, fmt.Errorf("expression %q is used in a way that is none of ours", "dynset")
	}
	return e, only(a, `expression "dynset"`, dynsetName, dynsetID, dynsetOperation, dynsetKey, dynsetTimeout, dynsetPad, dynsetFlags)
}
