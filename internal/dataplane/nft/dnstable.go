package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// dnsTable is the table that picks answers out.
type dnsTable struct {
	*writer
	table   codec.TableID
	content dnsContent
	// inForce says that the kernel holds what content says, as far as we know.
	inForce bool
	// queue is how this kernel is told to queue packets: see queueKinds.
	queue codec.Kind
}

// write writes the whole table in one atomic step; none if there is nothing to pick out.
func (p *dnsTable) write(c dnsContent) error {
	if len(c.entries) == 0 {
		if err := p.deleteTable(p.table); err != nil {
			return err
		}
		p.content, p.inForce = c, true
		return nil
	}
	var errs []error
	for _, k := range queueKinds {
		if p.queue != 0 && k != p.queue {
			continue
		}
		c.queue = k
		out := codec.NewBatch(p.table)
		out.Replace = true
		c.emit(out)
		err := p.send(out)
		if err == nil {
			p.content, p.inForce, p.queue = c, true, k
			return nil
		}
		errs = append(errs, err)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
			break
		}
	}
	return fmt.Errorf("answers of DNS servers cannot be queued, so the addresses of domains are not learned"+
		" (the kernel needs CONFIG_NFT_QUEUE, or CONFIG_NFT_COMPAT and CONFIG_NETFILTER_XT_TARGET_NFQUEUE): %w", errors.Join(errs...))
}

// isThere reports whether the table is in force.
func (p *dnsTable) isThere() bool { return p != nil && p.inForce && len(p.content.entries) > 0 }
