package e2e

import (
	"strings"
	"testing"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// Another version replaces the one that runs, under traffic: nothing that is denied gets through, and
// nothing that is allowed is lost.
func TestUpgrade(t *testing.T) {
	c := cluster.Shared(t, cluster.Options{Nodes: 2})
	stage.Install(t, c, "previous")
	s := newTheatre(t, c)
	allowed, end := s.play(t)
	stage.Install(t, c, stage.Dev)
	stage.Advance(t, allowed, 100)
	end()
	images, err := c.Kubectl(t.Context(), "--namespace", stage.SystemNamespace, "get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}")
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range strings.Fields(images) {
		if image != stage.Repository+":"+stage.Dev {
			t.Errorf("a pod runs %s after the upgrade", image)
		}
	}
}
