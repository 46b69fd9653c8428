package nft

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// A check holds the kernel's tables against what they should be, and repairs them.
//
// What must hold:
//
//   - What should be there comes from the same emit that writes a whole table, so
//     there is no second description that could differ. Only the elements of digit
//     sets are asked of the state instead (comparison.go).
//   - A check looks at everything that decides: chains, hooks, rules, sets, elements.
//     Counters, and elements that packets put into a set, are none of it.
//   - All tables are read before any is repaired, so that the findings are of one time,
//     and a table that cannot be read is an error. One that is gone is a finding.
//   - A repair writes the whole table, by the table swap: what somebody changed may be
//     part of anything, and the difference would be one that no delta gives.
//   - Live connections are cut last, when the tables are right again, and by the state:
//     those that the changed table let through end, and those that an earlier cut missed.

// Check reads the table back, compares all of it with what it should be, and
// writes it anew if anything differs. Then it cuts the connections that the tables
// deny, which an earlier pass may have missed, or that were made while the
// table was not as it should be.
func (b *Dataplane) Check(ctx context.Context) (dataplane.Drift, error) {
	if err := ctx.Err(); err != nil || !b.inForce {
		return dataplane.Drift{}, err
	}
	findings, err := b.compare()
	if err != nil {
		return dataplane.Drift{}, fmt.Errorf("nftables: reading table %s: %w", b.table.Name, err)
	}
	inBridge, err := b.bridge.compare()
	if err != nil {
		return dataplane.Drift{}, fmt.Errorf("nftables: reading table %s: %w", b.bridge.table, err)
	}
	inDNS, err := b.dns.compare()
	if err != nil {
		return dataplane.Drift{}, fmt.Errorf("nftables: reading table %s: %w", b.dns.table, err)
	}
	drift := dataplane.Drift{Findings: slices.Concat(findings, inBridge, inDNS)}
	defer b.Cut(ctx)
	if len(inBridge) > 0 {
		b.log.Warn("the table is not as it was written; writing all of it anew", "table", b.bridge.table.String(), "findings", len(inBridge), "first", inBridge[0])
		if err := b.bridge.write(b.bridge.content); err != nil {
			return drift, err
		}
		drift.Repaired = true
	}
	if len(inDNS) > 0 {
		b.log.Warn("the table is not as it was written; writing all of it anew", "table", b.dns.table.String(), "findings", len(inDNS), "first", inDNS[0])
		if err := b.dns.write(b.dns.content); err != nil {
			return drift, err
		}
		drift.Repaired = true
	}
	if len(findings) == 0 {
		return drift, nil
	}
	b.log.Warn("the table is not as it was written; writing all of it anew", "table", b.table.Name, "findings", len(findings), "first", findings[0])
	next := b.relaid(b.state)
	if err := b.replace(b.table, next); err != nil {
		drift.Repaired = false
		return drift, err
	}
	b.layout, drift.Repaired = next, true
	return drift, nil
}

// compare lists what differs between the kernel's table and the layout.
func (b *Dataplane) compare() ([]string, error) {
	return compare(b.conn, b.table, b.comparison)
}

// compare lists what differs between the kernel's table and what it should be. Where some
// transaction came in between, of any table of the host, what differs may be the reading:
// then all is read again. What does not differ is as it should be in either case.
func compare(conn *nfnl.Conn, table codec.TableID, expected func() (*comparison, error)) ([]string, error) {
	var findings []string
	err := codec.Retry(func() error {
		c, err := expected()
		if err != nil {
			return err
		}
		findings, err = c.with(conn, table)
		if errors.Is(err, nfnl.ErrInterrupted) && len(findings) == 0 {
			return nil
		}
		return err
	})
	return findings, err
}

// compare lists what differs between the kernel's table and what it should be.
func (p *bridgeTable) compare() ([]string, error) {
	if !p.inForce || p.content.isEmpty() {
		return nil, nil
	}
	findings, err := compare(p.conn, p.table, func() (*comparison, error) {
		c := newComparison()
		return c, p.content.emit(c)
	})
	for i := range findings {
		findings[i] = fmt.Sprintf("table %s: %s", p.table, findings[i])
	}
	return findings, err
}

// compare lists what differs between the kernel's table and what it should be.
func (p *dnsTable) compare() ([]string, error) {
	if p == nil || !p.inForce || len(p.content.entries) == 0 {
		return nil, nil
	}
	findings, err := compare(p.conn, p.table, func() (*comparison, error) {
		c := newComparison()
		p.content.emit(c)
		return c, nil
	})
	for i := range findings {
		findings[i] = fmt.Sprintf("table %s: %s", p.table, findings[i])
	}
	return findings, err
}
