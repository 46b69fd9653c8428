package nft

import (
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

func inet(name string) codec.TableID { return codec.TableID{Family: unix.NFPROTO_INET, Name: name} }

// writer sends batches to the kernel.
type writer struct {
	conn *nfnl.Conn
	log  *slog.Logger
	w    nfnl.Writer
	// changes is who must not be told of large batches; nil: nobody listens.
	changes *ChangeListener
}

// send writes a batch to the kernel: all of it or nothing, but for what nothing refers to:
// a long batch is several transactions, see codec.Batch.Send.
func (b *writer) send(out *codec.Batch) error {
	if out.Empty() {
		return nil
	}
	err := out.Send(&b.w, longBatch, func() error {
		write := func() error { return b.conn.Do(&b.w, uint32(b.w.Messages()-1), nil) }
		if len(b.w.B) > noticedBatch {
			return b.changes.unheard(b.conn, write)
		}
		return write()
	})
	var refused *nfnl.Error
	if errors.As(err, &refused) {
		err = fmt.Errorf("%s: %w", codec.Describe(b.w.B, refused.Seq), err)
	}
	if cap(b.w.B) > keepBuffer {
		b.w = nfnl.Writer{}
	}
	if err != nil {
		return fmt.Errorf("nftables: table %s: %w", out.Table.Name, err)
	}
	return nil
}

// longBatch is how many bytes a transaction has at most that need not be longer: some
// thousand elements, or some hundred rules.
var longBatch = 128 << 10 // a variable for tests

// noticedBatch is how many bytes a batch has at most that listeners are told of.
const noticedBatch = 16 << 10

// keepBuffer is how large a buffer is kept for the next batch.
const keepBuffer = 1 << 20

// deleteTable deletes a table if it is there.
func (b *writer) deleteTable(table codec.TableID) error {
	b.w.Reset()
	b.w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	// Deleting fails without a table, so there is one in any case.
	codec.WriteTable(&b.w, unix.NFT_MSG_NEWTABLE, table)
	codec.WriteTable(&b.w, unix.NFT_MSG_DELTABLE, table)
	b.w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
	if err := b.conn.Do(&b.w, uint32(b.w.Messages()-1), nil); err != nil {
		return fmt.Errorf("nftables: table %s: deleting: %w", table.Name, err)
	}
	return nil
}
