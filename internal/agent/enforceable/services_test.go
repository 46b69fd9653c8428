package enforceable

import (
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/hostlink"
)

// TestServiceRulesGone: a host on which services were translated and no longer are says so, and one on which they
// never were, or are by something else now, does not.
func TestServiceRulesGone(t *testing.T) {
	r := newRig(t, time.Hour)
	look := func(what, want string) {
		t.Helper()
		r.step(component.Step{Resync: true})
		if got := strings.Join(r.c.Warnings(), "; "); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	look("nobody ever", "")
	r.program.ServiceProxies = []string{"kube-proxy"}
	look("kube-proxy", "")
	r.program.ServiceProxies = nil
	const gone = "the rules of kube-proxy are gone"
	look("flushed", gone)
	look("still", gone)
	if n := strings.Count(r.logs.String(), gone); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	r.links.Interfaces = []hostlink.Interface{{Name: "cilium_host", Index: 9}}
	look("something else in its place", "")
	r.links.Interfaces = nil
	look("that gone as well", "the rules of Cilium are gone")
	r.program.ServiceProxies = []string{"kube-proxy in nftables mode"}
	look("kube-proxy again", "")
}
