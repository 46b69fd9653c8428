package nodereport

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/api/v1alpha1"
)

// fieldManager is who writes reports, as the API server keeps it.
const fieldManager = "tierwall-agent"

// ToCluster returns what writes reports to a cluster, by server-side apply. It
// needs the verbs create and patch for nodepolicyreports.
func ToCluster(cfg *rest.Config) (func(context.Context, *v1alpha1.NodePolicyReport) error, error) {
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("reports to the cluster: %w", err)
	}
	reports := client.Resource(v1alpha1.SchemeGroupVersion.WithResource("nodepolicyreports"))
	return func(ctx context.Context, report *v1alpha1.NodePolicyReport) error {
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(report)
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{Object: object}
		unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
		_, err = reports.Apply(ctx, report.Name, u, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("NodePolicyReport %s: the cluster has no such kind: install the CustomResourceDefinition nodepolicyreports.policy.tierwall.dev (%w)", report.Name, err)
		case err != nil && strings.Contains(err.Error(), "field not declared in schema"):
			return fmt.Errorf("NodePolicyReport %s: the CustomResourceDefinition nodepolicyreports.policy.tierwall.dev is that of another version: install this one's (%w)", report.Name, err)
		case apierrors.IsForbidden(err):
			return fmt.Errorf("NodePolicyReport %s: the agent needs the verbs create and patch for nodepolicyreports.policy.tierwall.dev: %w", report.Name, err)
		case err != nil:
			return fmt.Errorf("NodePolicyReport %s: %w", report.Name, err)
		}
		return nil
	}, nil
}
