package etcd

import (
	"fmt"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/store"
)

// filled returns a store with n policies of about 500 bytes.
func filled(b *testing.B, n int) *Store {
	b.Helper()
	_, s, _ := one(b)
	var writes []Write
	for i := range n {
		key, value := encoded(b, fmt.Sprintf(`{"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": {"name": "policy-%d", "namespace": "ns-%d"},
			"spec": {"order": %d, "selector": "app == 'a%d'", "types": ["Ingress"], "ingress": [{"action": "Allow", "protocol": "TCP",
			"source": {"selector": "role == 'frontend'", "namespaceSelector": "team == 't%d'"}, "destination": {"ports": [80, "8000:9000"]}}]}}`, i, i%100, i, i, i%10))
		writes = append(writes, Write{Key: key, Value: value})
	}
	if _, _, err := s.Commit(b.Context(), writes); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkList10k reads and decodes 10,000 policies.
func BenchmarkList10k(b *testing.B) {
	s := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		listing, err := s.List(b.Context())
		if err != nil || len(listing.Resources) != 10_000 {
			b.Fatal(len(listing.Resources), err)
		}
	}
}

// BenchmarkChange measures from the begin of a write until the watch, beside
// 10,000 policies, has delivered it. "watch-ns" is the part after the write was
// confirmed; it is negative where the watch was quicker than the confirmation.
func BenchmarkChange(b *testing.B) {
	s := filled(b, 10_000)
	c, err := s.connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	arrived := make(chan time.Time)
	go func() {
		_ = s.Watch(b.Context(), func(store.Batch) error {
			select {
			case arrived <- time.Now():
			case <-b.Context().Done():
			}
			return nil
		})
	}()
	<-arrived
	var behind time.Duration
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if _, err := c.Put(b.Context(), setPath("x"), set("x", fmt.Sprintf("10.%d.0.0/16", i%256))); err != nil {
			b.Fatal(err)
		}
		confirmed := time.Now()
		behind += (<-arrived).Sub(confirmed)
	}
	b.ReportMetric(float64(behind.Nanoseconds())/float64(i), "watch-ns")
}
