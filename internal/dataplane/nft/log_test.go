package nft

import (
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

func TestLogPrefix(t *testing.T) {
	long := policy.Decider{Tier: "default", Kind: "NetworkPolicy", Namespace: strings.Repeat("n", 63), Name: strings.Repeat("ä", 100), Rule: 17}
	for _, by := range []policy.Decider{{Tier: "default", Kind: "NetworkPolicy", Namespace: "shop", Name: "db", Rule: 3}, long} {
		for _, allow := range []bool{true, false} {
			d := dataplane.Decider{ID: 4294967295, Direction: policy.Ingress, Logs: dataplane.LogsOf([]policy.Decider{by})}
			prefix := logPrefix(d, allow, 12, dataplane.DeciderText(by))
			if len(prefix) > maxPrefix {
				t.Errorf("%q has %d bytes", prefix, len(prefix))
			}
			id, log, allowed, ok := ParseLogPrefix(prefix)
			if id != d.ID || log != 12 || allowed != allow || !ok {
				t.Errorf("%q: got %d, %d, %v, %v", prefix, id, log, allowed, ok)
			}
		}
	}
	for _, bad := range []string{"", "hello", "ingress allowed 1", "ingress allowed 1.-1", "ingress perhaps 1.0", "ingress denied x.0", "denied 99999999999.0 "} {
		if _, _, _, ok := ParseLogPrefix(bad); ok {
			t.Errorf("%q is taken for a prefix", bad)
		}
	}
}
