package chart

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tierwall/tierwall/internal/store/kube"
	"github.com/tierwall/tierwall/policy"
)

// may reports whether a role has a rule for a verb on all objects of a resource.
func may(role *unstructured.Unstructured, verb, group, resource string) bool {
	rules, _, _ := unstructured.NestedSlice(role.Object, "rules")
	return slices.ContainsFunc(rules, func(r any) bool {
		rule := r.(map[string]any)
		has := func(field, value string) bool {
			list, _, _ := unstructured.NestedStringSlice(rule, field)
			return slices.Contains(list, value)
		}
		return rule["resourceNames"] == nil && has("apiGroups", group) && has("resources", resource) && has("verbs", verb)
	})
}

// TestRolesKnowAllKinds walks the table of kinds: the agent may read what it decides by,
// the controller what it judges, and write its status; and people have roles for what
// they write.
func TestRolesKnowAllKinds(t *testing.T) {
	r, err := Render(dir, golden["default"])
	if err != nil {
		t.Fatal(err)
	}
	all := objects(t, r)
	for _, k := range policy.Kinds() {
		need := func(role string, needed bool, resource string, verbs ...string) {
			object := all["ClusterRole /"+role]
			if object == nil {
				t.Fatalf("there is no ClusterRole %s", role)
			}
			for _, verb := range verbs {
				if needed && !may(object, verb, k.Group, resource) {
					t.Errorf("ClusterRole %s may not %s %s of %q", role, verb, resource, k.Group)
				}
			}
		}
		judged := k.Status != policy.NoStatus
		need("tierwall-agent", k.Decides && kube.Reads(k), k.Resource, "get", "list", "watch")
		need("tierwall-controller", judged, k.Resource, "get", "list", "watch")
		need("tierwall-controller", judged && k.Status != policy.EventsOnly, k.Resource+"/status", "patch")
		need("tierwall:viewer", judged, k.Resource, "get", "list", "watch")
		need("tierwall:security-admin", judged, k.Resource, "get", "list", "watch", "create", "update", "patch", "delete")
		for _, role := range []string{"tierwall:viewer", "tierwall:platform-admin", "tierwall:security-admin"} {
			need(role, k.Role == policy.RoleReport, k.Resource, "get", "list") // explain and reach do
		}
		if role := all["ClusterRole /tierwall-agent"]; k.Stages != "" && may(role, "list", k.Group, k.Resource) {
			t.Errorf("the agent may read %s, and has no use for it", k.Resource)
		}
	}
}
