package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/api/v1alpha1"
	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/kubeclient"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// manager is who owns the fields of a status that the controller writes.
const manager = "tierwall-controller"

// client makes the requests about the objects that the controller validates.
type client struct{ rest rest.Interface }

func newClient(cfg *rest.Config) (*client, error) {
	cfg = kubeclient.WithTimeout(cfg)
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	cfg.GroupVersion = &schema.GroupVersion{}
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.QPS = -1 // those who write wait on their own
	r, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, err
	}
	return &client{r}, nil
}

// read returns the answer to a request, or what the server says is wrong.
func read(ctx context.Context, r *rest.Request) ([]byte, error) {
	result := r.Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// applied is a status for server-side apply. The uid makes sure that it is not
// written to another object of the same name.
type applied struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   appliedMetadata `json:"metadata"`
	Status     any             `json:"status"`
}

type appliedMetadata struct {
	Name      string    `json:"name"`
	Namespace string    `json:"namespace,omitempty"`
	UID       types.UID `json:"uid"`
}

// writeStatus writes the status of an object.
func (c *client) writeStatus(ctx context.Context, k *kind, key policy.Key, uid types.UID, s *objectStatus) error {
	a := applied{
		APIVersion: k.APIVersion(), Kind: k.Name,
		Metadata: appliedMetadata{Name: key.Name, Namespace: key.Namespace, UID: uid},
		Status:   &s.PolicyStatus,
	}
	switch k.Status {
	case policy.ObjectStatus:
		a.Status = v3.TierStatus{ // of others, it is that without a default action
			ObjectStatus: v3.ObjectStatus{ObservedGeneration: s.ObservedGeneration, Conditions: s.Conditions}, DefaultAction: s.DefaultAction,
		}
	case policy.ConditionsStatus:
		a.Status = struct {
			Conditions []metav1.Condition `json:"conditions"`
		}{s.Conditions}
	}
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return c.rest.Patch(types.ApplyPatchType).
		AbsPath(k.path(key.Namespace, key.Name, "status")...).
		Param("fieldManager", manager).Param("force", "true").
		Body(body).Do(ctx).Error()
}

// identity asks which version of an object there is.
func (c *client) identity(ctx context.Context, k *kind, key policy.Key) (types.UID, int64, error) {
	text, err := read(ctx, c.rest.Get().AbsPath(k.path(key.Namespace, key.Name, "")...).
		SetHeader("Accept", kubeclient.JSON+";as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"+kubeclient.JSON))
	if err != nil {
		return "", 0, err
	}
	var o metav1.PartialObjectMetadata
	if err := json.Unmarshal(text, &o); err != nil {
		return "", 0, fmt.Errorf("metadata of %s: %w", store.ObjectName(key), err)
	}
	return o.UID, o.Generation, nil
}

// withStatus is what is read of an object at the beginning.
type withStatus struct {
	Metadata struct {
		Name, Namespace string
		UID             types.UID
	}
	Status objectStatus
}

// A page of objects is to be about so many bytes: most are small, some are not.
const (
	pageBytes             = 4 << 20
	fewestInPage          = 5
	firstPage, mostInPage = 50, 500
)

// statuses reads the statuses of all objects of a kind.
func (c *client) statuses(ctx context.Context, k *kind, into map[policy.Key]existing) error {
	next, size := "", firstPage
	for {
		text, err := read(ctx, c.rest.Get().AbsPath(k.path("", "", "")...).
			Param("limit", strconv.Itoa(size)).Param("continue", next).
			SetHeader("Accept", kubeclient.JSON))
		if err != nil {
			return err
		}
		var page struct {
			Metadata metav1.ListMeta
			Items    []withStatus
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return fmt.Errorf("list %s: %w", k.Resource, err)
		}
		for i := range page.Items {
			o := &page.Items[i]
			if len(o.Status.Conditions) > 0 {
				into[policy.Key{Kind: k.Key, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}] = existing{o.Metadata.UID, o.Status}
			}
		}
		if next = page.Metadata.Continue; next == "" {
			return nil
		}
		size = min(max(pageBytes*len(page.Items)/len(text), fewestInPage), mostInPage)
	}
}

// resources asks for the resources of a group and version, with their parts, and
// what can be done with each; none if there is no such group.
func (c *client) resources(ctx context.Context, groupVersion string) (map[string]metav1.Verbs, error) {
	text, err := read(ctx, c.rest.Get().AbsPath("apis", groupVersion).SetHeader("Accept", kubeclient.JSON))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("resources of %s: %w", groupVersion, err)
	}
	out := map[string]metav1.Verbs{}
	for _, r := range list.APIResources {
		out[r.Name] = r.Verbs
	}
	return out, nil
}
