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
	sources map[sourceEntry]bool
	// inForce says that the kernel holds what sources says, as far as we know.
	inForce bool
	// unable is why this kernel has no such tables; nil if it has, or was not asked.
	unable error
}

// set brings the table to its next state: elements of sets, unless there is no table.
func (p *bridgeTable) set(sources map[sourceEntry]bool) error {
	if p.unable != nil {
		return nil
	}
	if !p.inForce {
		return p.write(sources)
	}
	if len(sources) > 0 {
		out := codec.NewBatch(p.table)
		stepSources(out, p.sources, sources)
		err := p.send(out)
		if err == nil {
			p.sources = sources
			return nil
		}
		p.log.Warn("the table is not as it was written; writing all of it anew", "table", p.table.String(), "error", err)
	}
	return p.write(sources)
}

// write writes the whole table; none if nothing is to be checked.
func (p *bridgeTable) write(sources map[sourceEntry]bool) error {
	var err error
	if len(sources) == 0 {
		err = errors.Join(p.deleteTable(p.table), p.deleteTable(staging(p.table)))
	} else {
		err = p.replace(p.table, &bridgeContent{sources})
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		p.unable = err
		if len(sources) > 0 {
			p.log.Warn("this kernel has no nftables for bridges (CONFIG_NF_TABLES_BRIDGE): a pod behind a bridge that may send raw packets can use the address of another",
				"error", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	p.sources, p.inForce = sources, true
	return nil
}
