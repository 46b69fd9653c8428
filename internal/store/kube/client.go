package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/internal/kubeclient"
)

// client makes the requests. It is client-go's REST client; its reflectors
// are not used, for they hold all objects of a kind at once, twice while they list
// anew, and tell nobody why a stream does not come back.
type client struct {
	rest rest.Interface
	host string
}

func newClient(cfg *rest.Config) (*client, error) {
	cfg = rest.CopyConfig(cfg)
	scheme := runtime.NewScheme() // of what servers say of errors
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg.GroupVersion = &schema.GroupVersion{}
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.RateLimiter, cfg.QPS = nil, -1 // each kind waits on its own
	cfg.Timeout = 0
	cfg.WarningHandler = rest.NoWarnings{}
	if cfg.UserAgent == "" {
		cfg.UserAgent = kubeclient.UserAgent("", "")
	}
	c, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, err
	}
	return &client{rest: c, host: c.Get().URL().Scheme + "://" + c.Get().URL().Host}, nil
}

// get begins a request. It is not repeated when it fails: that is for the
// caller, who says why it takes so long.
func (c *client) get(path []string, accept string) *rest.Request {
	return c.rest.Get().AbsPath(path...).SetHeader("Accept", accept).MaxRetries(0)
}

// of begins a request for objects of a kind.
func (c *client) of(k *kind, namespace string) *rest.Request {
	r := c.get(k.path(namespace), k.accept())
	if k.only != "" {
		r = r.Param("fieldSelector", "metadata.name="+k.only)
	}
	return r
}

// accept is what the kind is asked for in.
func (k *kind) accept() string {
	if k.create == nil {
		return kubeclient.JSON
	}
	return kubeclient.Protobuf + "," + kubeclient.JSON
}

// watch opens a stream of the kind's events, which the server ends after about
// the given time. From "" it begins with the present objects, whose end a
// bookmark marks, else it goes on from a version.
func (c *client) watch(ctx context.Context, k *kind, version string, lasting time.Duration) (io.ReadCloser, error) {
	r := c.of(k, "").
		Param("watch", "true").
		Param("allowWatchBookmarks", "true").
		Param("resourceVersion", version).
		Param("timeoutSeconds", strconv.Itoa(max(1, int(lasting.Seconds()))))
	if version == "" {
		r = r.Param("sendInitialEvents", "true").
			Param("resourceVersionMatch", string(metav1.ResourceVersionMatchNotOlderThan))
	}
	return r.Stream(ctx)
}

// pageSize is how many objects a page of a list has. It bounds what is held at once.
const pageSize = 500

// list returns one page of the present objects, in the consistent state of the first page.
func (c *client) list(ctx context.Context, k *kind, namespace, next string) (page, error) {
	r := c.of(k, namespace).Param("limit", strconv.Itoa(pageSize))
	if next != "" {
		r = r.Param("continue", next)
	}
	data, err := c.read(ctx, r)
	if err != nil {
		return page{}, err
	}
	p, err := parsePage(data)
	if err != nil {
		return page{}, &malformed{fmt.Errorf("list: %w", err)}
	}
	return p, nil
}

// read returns the whole answer to a request.
func (c *client) read(ctx context.Context, r *rest.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, kubeclient.RequestTimeout)
	defer cancel()
	body, err := r.Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	return io.ReadAll(body)
}

// malformed is an answer that cannot be read.
type malformed struct{ cause error }

func (m *malformed) Error() string { return "the answer cannot be read: " + m.cause.Error() }
func (m *malformed) Unwrap() error { return m.cause }

// code returns the HTTP status of what a server said; 0 if no server said anything.
func code(err error) int32 {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code
	}
	return 0
}

// isExpired reports whether the version that was asked for is no longer, or not
// yet, known to the server: only a new list helps.
func isExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) ||
		apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

// isNoWatchList reports whether the server does not know how to begin a stream
// with the present objects.
func isNoWatchList(err error) bool {
	c := code(err)
	return c == http.StatusUnprocessableEntity || c == http.StatusBadRequest || c == http.StatusNotAcceptable ||
		c == http.StatusMethodNotAllowed
}

// retryAfter is how long the server asks to wait.
func retryAfter(err error) time.Duration {
	if seconds, asked := apierrors.SuggestsClientDelay(err); asked {
		return time.Duration(seconds) * time.Second
	}
	return 0
}
