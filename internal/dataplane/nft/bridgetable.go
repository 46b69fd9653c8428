package nft

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// bridgeTable is the table of the bridge family.
type bridgeTable struct {
	*writer
	table   codec.TableID
	content *bridgeContent
	// inForce says that the kernel holds what content says, as far as we know.
	inForce bool
	// unable is why this kernel has no such tables; nil if it has, or was not asked.
	unable error
}

// bridgeID returns the table of the bridge family that stands beside one for IP.
func bridgeID(t codec.TableID) codec.TableID {
	return codec.TableID{Family: unix.NFPROTO_BRIDGE, Name: t.Name}
}

// isEmpty reports whether nothing is to be checked.
func (c *bridgeContent) isEmpty() bool { return len(c.entries) == 0 }

// set brings the table to its next state: elements of sets, unless there is no table, or
// chains change.
func (p *bridgeTable) set(next *bridgeContent) error {
	if p.unable != nil {
		return nil
	}
	if !p.inForce || next.isEmpty() != p.content.isEmpty() || !next.allowed.equal(p.content.allowed) {
		return p.write(next)
	}
	out := codec.NewBatch(p.table)
	stepSources(out, p.content.entries, next.entries)
	if err := p.send(out); err != nil {
		p.log.Warn("the table is not as it was written; writing all of it anew", "table", p.table.String(), "error", err)
		return p.write(next)
	}
	p.content = next
	return nil
}

// write writes the whole table; none if nothing is to be checked.
func (p *bridgeTable) write(next *bridgeContent) error {
	var err error
	if next.isEmpty() {
		err = errors.Join(p.deleteTable(p.table), p.deleteTable(staging(p.table)))
	} else {
		err = p.replace(p.table, next)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		p.unable = err
		if !next.isEmpty() {
			p.log.Warn("this kernel has no nftables for bridges (CONFIG_NF_TABLES_BRIDGE): a pod behind a bridge that may send raw packets can use the address of another",
				"error", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	p.content, p.inForce = next, true
	return nil
}
