package v3_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	v3 "github.com/tierwall/tierwall/api/v3"
)

// TestScheme checks that each kind is registered with its list, and can be copied.
func TestScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v3.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	known := scheme.KnownTypes(v3.SchemeGroupVersion)
	kinds := 0
	for name, typ := range known {
		if typ.PkgPath() != "github.com/tierwall/tierwall/api/v3" || strings.HasSuffix(name, "List") {
			continue
		}
		kinds++
		if _, found := known[name+"List"]; !found {
			t.Errorf("%s has no list", name)
		}
		o, err := scheme.New(v3.SchemeGroupVersion.WithKind(name))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(o, o.DeepCopyObject()); d != "" {
			t.Errorf("a copy of a %s differs (-want +got):\n%s", name, d)
		}
	}
	if kinds != 11 {
		t.Errorf("%d kinds are registered, want 11", kinds)
	}
}

// TestCopy checks that a copy shares nothing with the original.
func TestCopy(t *testing.T) {
	p := &v3.GlobalNetworkPolicy{Spec: v3.GlobalNetworkPolicySpec{Order: new(1.0), Ingress: []v3.Rule{{
		Action: v3.Allow, Source: v3.EntityRule{Nets: []string{"10.0.0.0/8"}, Ports: []v3.Port{"80"}},
	}}}}
	c := p.DeepCopy()
	*c.Spec.Order, c.Spec.Ingress[0].Source.Nets[0], c.Spec.Ingress[0].Source.Ports[0] = 2, "x", "y"
	if *p.Spec.Order != 1 || p.Spec.Ingress[0].Source.Nets[0] != "10.0.0.0/8" || p.Spec.Ingress[0].Source.Ports[0] != "80" {
		t.Errorf("the original changed with its copy: %+v", p.Spec)
	}
}
