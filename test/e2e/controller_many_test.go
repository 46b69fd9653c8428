package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/internal/controller"
	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// TestControllerManyPolicies hands the Lease from one controller to another where there are many policies: the next one becomes
// ready, and goes on. TIERWALL_E2E_POLICIES=10000 in the environment is as many as the project speaks of.
func TestControllerManyPolicies(t *testing.T) {
	policies := number(t, "TIERWALL_E2E_POLICIES", 1000)
	c := cluster.Start(t, cluster.Options{})
	must(t, c.Apply(t.Context(), installManifest(t)))
	kubectl(t, c, "wait", "--for=condition=Established", "--timeout=60s", "crd", "-l", "app.kubernetes.io/part-of=tierwall")
	begun := time.Now()
	var all errgroup.Group
	all.SetLimit(16)
	for i := range policies {
		all.Go(func() error {
			p := policyIn(globalNetworkPolicies, "", "default", fmt.Sprintf("default.p%d", i))
			_, err := admin(c).Resource(globalNetworkPolicies).Create(t.Context(), p, metav1.CreateOptions{})
			return err
		})
	}
	must(t, all.Wait())
	t.Logf("%d policies stored in %s", policies, time.Since(begun).Round(time.Millisecond))

	first, second := newContender(t, c, "first"), newContender(t, c, "second")
	t.Logf("the first is ready after %s", first.ready(t))
	t.Logf("the second, which waits, after %s", second.ready(t))
	first.stop()
	begun = time.Now()
	made := policyIn(globalNetworkPolicies, "", "default", "default.later")
	_, err := admin(c).Resource(globalNetworkPolicies).Create(t.Context(), made, metav1.CreateOptions{})
	must(t, err)
	kubectl(t, c, "wait", "--for=condition=Accepted", "--timeout=300s", "gnp/default.later")
	t.Logf("a policy made when the first had ended has its status after %s; load %s", time.Since(begun).Round(time.Millisecond), load())
	t.Logf("and the second is ready (%s)", second.ready(t))
	second.stop()
}

// contender is a controller in this process.
type contender struct {
	begun time.Time
	addr  string
	stop  func()
}

func newContender(t *testing.T, c *cluster.Cluster, identity string) *contender {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	x := &contender{begun: time.Now(), addr: l.Addr().String()}
	must(t, l.Close())
	kube := c.Config()
	kube.Impersonate = rest.ImpersonationConfig{
		UserName: controllerUser,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:tierwall-system", "system:authenticated"},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		done <- controller.Run(ctx, controller.Config{
			Kube: kube, Namespace: stage.SystemNamespace, Identity: identity, MetricsAddr: x.addr, StatusQPS: 200,
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
	}()
	ended := false
	x.stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("controller %s: %v", identity, err)
		}
	}
	t.Cleanup(x.stop)
	return x
}

// ready waits until the controller says that it is ready, and gives how long that took since its beginning.
func (x *contender) ready(t *testing.T) time.Duration {
	t.Helper()
	eventually(t, "a controller that is ready", func() error {
		resp, err := http.Get("http://" + x.addr + "/readyz")
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s: %s", resp.Status, text)
		}
		return nil
	})
	return time.Since(x.begun).Round(time.Millisecond)
}
