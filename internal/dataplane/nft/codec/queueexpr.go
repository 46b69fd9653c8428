package codec

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// The numbers of linux/netfilter/xt_NFQUEUE.h and nf_tables_compat.h.
const (
	QueueBypass = 1 // NFT_QUEUE_FLAG_BYPASS, NFQ_FLAG_BYPASS: packets pass if nobody reads the queue

	targetName = 1 // NFTA_TARGET_NAME
	targetRev  = 2 // NFTA_TARGET_REV
	targetInfo = 3 // NFTA_TARGET_INFO

	// Of linux/netfilter/nf_tables.h.
	dynsetName      = 1 // NFTA_DYNSET_SET_NAME
	dynsetID        = 2 // NFTA_DYNSET_SET_ID
	dynsetOperation = 3 // NFTA_DYNSET_OP
	dynsetKey       = 4 // NFTA_DYNSET_SREG_KEY
	dynsetTimeout   = 6 // NFTA_DYNSET_TIMEOUT
	dynsetExpr      = 7 // NFTA_DYNSET_EXPR
	dynsetPad       = 8 // NFTA_DYNSET_PAD
	dynsetFlags     = 9 // NFTA_DYNSET_FLAGS
	dynsetUpdate    = 1 // NFT_DYNSET_OP_UPDATE

	nfqueueTarget   = "NFQUEUE"
	nfqueueRevision = 3
	nfqueueInfo     = 8 // bytes of xt_NFQ_info_v3, padded
)

// writeDNSExpr writes the expressions that hand packets to queues, or put something of
// them into sets.
func writeDNSExpr(w *nfnl.Writer, e Expr) {
	switch e.Kind {
	case CTOriginal:
		const original = 0 // IP_CT_DIR_ORIGINAL
		w.Uint32(unix.NFTA_CT_KEY, e.Key)
		w.Uint32(unix.NFTA_CT_DREG, e.Register)
		w.Uint8(unix.NFTA_CT_DIRECTION, original)
	case QueueTo:
		w.Uint16(unix.NFTA_QUEUE_NUM, uint16(e.Key))
		w.Uint16(unix.NFTA_QUEUE_TOTAL, 1)
		w.Uint16(unix.NFTA_QUEUE_FLAGS, uint16(e.Length))
	case Refresh, CountIn:
		w.String(dynsetName, e.Set)
		w.Uint32(dynsetOperation, dynsetUpdate)
		w.Uint32(dynsetKey, e.Register)
		w.Uint64(dynsetTimeout, uint64(e.Key))
		if e.Kind == CountIn {
			counter := w.Nest(dynsetExpr)
			w.String(unix.NFTA_EXPR_NAME, exprNames[Counter])
			data := w.Nest(unix.NFTA_EXPR_DATA)
			w.Uint64(unix.NFTA_COUNTER_BYTES, 0)
			w.Uint64(unix.NFTA_COUNTER_PACKETS, 0)
			w.EndNest(data)
			w.EndNest(counter)
		}
	case QueueTarget:
		info := make([]byte, nfqueueInfo)
		binary.NativeEndian.PutUint16(info, uint16(e.Key))
		binary.NativeEndian.PutUint16(info[2:], 1) // queues
		binary.NativeEndian.PutUint16(info[4:], uint16(e.Length))
		w.String(targetName, nfqueueTarget)
		w.Uint32(targetRev, nfqueueRevision)
		w.Bytes(targetInfo, info)
	}
}

// readQueue reads a queue expression, or the target that stands for it.
func readQueue(name string, a nfnl.Attrs) (Expr, error) {
	foreign := fmt.Errorf("expression %q is used in a way that is none of ours", name)
	if name == "queue" {
		e := Expr{Kind: QueueTo, Key: uint32(a.Get(unix.NFTA_QUEUE_NUM).Uint16()), Length: QueueBypass}
		if a.Get(unix.NFTA_QUEUE_TOTAL).Uint16() != 1 || a.Get(unix.NFTA_QUEUE_FLAGS).Uint16() != QueueBypass {
			return Expr{}, foreign
		}
		return e, only(a, `expression "queue"`, unix.NFTA_QUEUE_NUM, unix.NFTA_QUEUE_TOTAL, unix.NFTA_QUEUE_FLAGS)
	}
	info := a.Get(targetInfo)
	if a.Get(targetName).String() != nfqueueTarget || a.Get(targetRev).Uint32() != nfqueueRevision || len(info) < 6 ||
		binary.NativeEndian.Uint16(info[2:]) != 1 || binary.NativeEndian.Uint16(info[4:]) != QueueBypass {
		return Expr{}, foreign
	}
	return Expr{Kind: QueueTarget, Key: uint32(binary.NativeEndian.Uint16(info)), Length: QueueBypass}, only(a, `expression "target"`, targetName, targetRev, targetInfo)
}

// readRefresh reads the expression by which packets put themselves into a set.
func readRefresh(a nfnl.Attrs) (Expr, error) {
	timeout := a.Get(dynsetTimeout).Uint64()
	e := Expr{Kind: Refresh, Register: a.Get(dynsetKey).Uint32(), Set: a.Get(dynsetName).String(), Key: uint32(timeout)}
	if a.Get(dynsetOperation).Uint32() != dynsetUpdate || uint64(e.Key) != timeout || a.Get(dynsetFlags).Uint32() != 0 {
		return Expr{}, fmt.Errorf("expression %q is used in a way that is none of ours", "dynset")
	}
	known := []uint16{dynsetName, dynsetID, dynsetOperation, dynsetKey, dynsetTimeout, dynsetPad, dynsetFlags}
	if counts := a.Get(dynsetExpr); counts != nil {
		if name := counts.Attrs().Get(unix.NFTA_EXPR_NAME).String(); name != exprNames[Counter] {
			return Expr{}, fmt.Errorf("expression %q with %q is none of ours", "dynset", name)
		}
		e.Kind, known = CountIn, append(known, dynsetExpr)
	}
	return e, only(a, `expression "dynset"`, known...)
}
