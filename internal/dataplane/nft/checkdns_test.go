package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"

	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
)

// raw keeps what a dump finds.
type raw struct {
	bases    []codec.ChainSpec
	rules    map[string][]codec.Rule
	elements map[string][]codec.Element
}

func (r *raw) VisitChain(c codec.ChainSpec, err error) error {
	if c.Base {
		r.bases = append(r.bases, c)
	}
	return err
}

func (r *raw) VisitRule(chain string, x codec.Rule, err error) error {
	r.rules[chain] = append(r.rules[chain], x)
	return err
}
func (r *raw) VisitSet(codec.SetSpec, error) error { return nil }
func (r *raw) VisitElement(set string, e codec.Element, err error) error {
	r.elements[set] = append(r.elements[set], e)
	return err
}

// TestCompareDNSQueueFindsMutations changes one thing at a time in the kernel's table for
// answers of DNS servers: each is found.
func TestCompareDNSQueueFindsMutations(t *testing.T) {
	l := newLab(t)
	b := newDataplane(t, nodeNS(l))
	apply(t, b, tabletest.Empty().Step(podTables()))
	rules := rulesOf("10.96.0.10 fd00:96::a", "10.9.0.1 10.9.0.2 fd00::1")
	compare := func(rules dataplane.DNSQueueRules) []string {
		t.Helper()
		findings, err := CompareDNSQueue(t.Context(), Options{NetNS: nodeNS(l)}, rules)
		if err != nil {
			t.Fatal(err)
		}
		return findings
	}
	if f := compare(rules); len(f) == 0 {
		t.Error("a missing table is not found")
	}
	if f := compare(dataplane.DNSQueueRules{}); len(f) > 0 {
		t.Errorf("no table, and none is to be there: %q", f)
	}
	setDNSQueue(t, b, rules)
	if f := compare(rules); len(f) > 0 {
		t.Fatalf("as written: %q", f)
	}
	if f := compare(dataplane.DNSQueueRules{}); len(f) != 1 {
		t.Errorf("a table too many: %q", f)
	}
	r := &raw{rules: map[string][]codec.Rule{}, elements: map[string][]codec.Element{}}
	if err := codec.Dump(b.conn, b.dns.table, r); err != nil {
		t.Fatal(err)
	}
	found := 0
	try := func(text string, fill ...func(*codec.Batch)) {
		t.Helper()
		var err error
		for _, f := range fill {
			out := codec.NewBatch(b.dns.table)
			f(out)
			err = errors.Join(err, b.send(out))
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if f := compare(rules); len(f) == 0 {
			t.Errorf("not found: %s", text)
		}
		found++
		if err := b.dns.write(b.dns.content); err != nil {
			t.Fatal(err)
		}
	}
	for _, chain := range slices.Sorted(maps.Keys(r.rules)) {
		was := r.rules[chain]
		for i := range was {
			try(fmt.Sprintf("%s without rule %d", chain, i), func(out *codec.Batch) {
				out.SetRules(codec.ChainRules{Name: chain, Rules: slices.Delete(slices.Clone(was), i, i+1)})
			})
		}
		try(chain+" with a rule more", func(out *codec.Batch) {
			out.SetRules(codec.ChainRules{Name: chain, Rules: append([]codec.Rule{always(accept)}, was...)})
		})
	}
	for set, list := range r.elements {
		for _, e := range list {
			try(fmt.Sprintf("%s without %s", set, keyText(e)), func(out *codec.Batch) { out.DelElement(set, e) })
		}
	}
	try("a server more", func(out *codec.Batch) { out.AddElement(serversName(0), codec.Element{Key: "\xcb\x00\x71\x09"}) })
	for _, c := range r.bases {
		try("another priority of "+c.Name, func(out *codec.Batch) { out.DelChain(c.Name, orderEntry) }, func(out *codec.Batch) {
			other := c
			other.Priority++
			out.AddBaseChain(other, r.rules[c.Name])
		})
		try("no chain "+c.Name, func(out *codec.Batch) { out.DelChain(c.Name, orderEntry) })
		stockNFT(t, l, "chain inet tierwall-dns "+c.Name+" { policy drop ; }")
		try("policy of "+c.Name, func(*codec.Batch) {})
	}
	other := rules
	other.Queue++
	if f := compare(other); len(f) == 0 {
		t.Error("another queue is not found")
	}
	right := b.dns.content
	wrong := right
	wrong.flags = 0
	if err := b.dns.write(wrong); err != nil {
		t.Fatal(err)
	}
	b.dns.content = right
	try("a queue that holds up what nobody reads", func(*codec.Batch) {})
	if err := b.SetDNSQueue(context.Background(), dataplane.DNSQueueRules{}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d mutations", found)
}
