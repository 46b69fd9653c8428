package kube

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// listAtOnce is how many kinds are listed at once.
const listAtOnce = 4

// listTries is how often a list is begun whose version expires before its end.
const listTries = 5

// List implements store.Source. Its objects are in the order of their keys. A
// kind that the user may not read is a finding, and with Options.Namespace a
// note: who asks for a part knows that it is none of the whole.
func (s *source) List(ctx context.Context) (store.Listing, error) {
	o, err := s.client.discover(ctx)
	if err != nil {
		return store.Listing{}, s.failed("what is served", err)
	}
	kinds := kindsOf(&s.opts)
	out := store.Listing{Findings: o.notes(kinds)}
	wanted := func(k *kind) bool { return o.has(k) && !k.lazy }
	if err := s.listKinds(ctx, kinds, wanted, &out); err != nil {
		return store.Listing{}, err
	}
	if err := s.listServices(ctx, kinds, &out); err != nil {
		return store.Listing{}, err
	}
	if s.opts.NodeReports {
		out.Resources = append(out.Resources, s.nodeReports(ctx, &o)...)
	}
	slices.SortFunc(out.Resources, func(a, b store.Resource) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(out.Rejected, func(a, b store.Rejected) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(out.Findings, store.Finding.Compare)
	return out, nil
}

// listServices adds what policies need to a listing that was not listed at first:
// services, and what is behind them. Names of DNS do without what may not be read.
func (s *source) listServices(ctx context.Context, kinds []*kind, out *store.Listing) error {
	refers := slices.ContainsFunc(out.Resources, func(r store.Resource) bool { return refersToService(r.Object) })
	names := !s.opts.PolicyOnly && slices.ContainsFunc(out.Resources, func(r store.Resource) bool { return namesDomains(r.Object) })
	if !refers && !names {
		return nil
	}
	wanted := map[*kind]bool{}
	for _, k := range kinds {
		wanted[k] = k.lazy && refers
		if k.Key == policy.KindService && (k.lazy || k.only != "") {
			k.only, wanted[k] = "", true
			out.Resources = slices.DeleteFunc(out.Resources, func(r store.Resource) bool { return r.Key.Kind == k.Key })
		}
	}
	var more store.Listing
	if err := s.listKinds(ctx, kinds, func(k *kind) bool { return wanted[k] }, &more); err != nil {
		return err
	}
	out.Resources = append(out.Resources, more.Resources...)
	out.Rejected = append(out.Rejected, more.Rejected...)
	if refers {
		out.Findings = append(out.Findings, more.Findings...)
	}
	return nil
}

// listKinds adds the objects of some kinds to a listing.
func (s *source) listKinds(ctx context.Context, kinds []*kind, wanted func(*kind) bool, out *store.Listing) error {
	parts := make([]store.Listing, len(kinds))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listAtOnce)
	for i, k := range kinds {
		if wanted(k) {
			group.Go(func() (err error) {
				parts[i], err = s.listKind(ctx, k)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, p := range parts {
		out.Resources = append(out.Resources, p.Resources...)
		out.Rejected = append(out.Rejected, p.Rejected...)
		out.Findings = append(out.Findings, p.Findings...)
	}
	return nil
}

// failed names the server and what was asked for.
func (s *source) failed(what string, err error) error {
	if isUnreachable(err) {
		return fmt.Errorf("API server %s: cannot be reached: %s", s.client.host, reason(err))
	}
	return fmt.Errorf("API server %s: %s: %w", s.client.host, what, err)
}

// listKind lists one kind.
func (s *source) listKind(ctx context.Context, k *kind) (store.Listing, error) {
	if k.Name == "Namespace" && s.opts.Namespace != "" {
		return s.oneNamespace(ctx, k, s.opts.Namespace)
	}
	out, err := s.listIn(ctx, k, s.opts.Namespace)
	if code(err) != http.StatusForbidden {
		return out, err
	}
	if s.opts.Fallback == "" || s.opts.Namespace != "" {
		return s.forbidden(k, err), nil
	}
	return s.narrowed(ctx, k, err)
}

// narrowed lists a kind in one namespace that may not be listed in all of them.
func (s *source) narrowed(ctx context.Context, k *kind, refused error) (store.Listing, error) {
	var out store.Listing
	var err error
	switch {
	case k.Name == "Namespace":
		if out, err = s.oneNamespace(ctx, k, s.opts.Fallback); err != nil || len(out.Resources) == 0 {
			return out, err
		}
	case k.Name == policy.KindNode:
		// Without them, what pods say of where they are must do.
	case !k.Namespaced:
		return s.forbidden(k, refused), nil
	default:
		if out, err = s.listIn(ctx, k, s.opts.Fallback); code(err) == http.StatusForbidden {
			return s.forbidden(k, err), nil
		}
	}
	if s.opts.Narrowed != nil {
		s.opts.Narrowed(k.FullResource())
	}
	return out, err
}

// listIn lists a kind in one namespace, or in all. A refusal is an error.
func (s *source) listIn(ctx context.Context, k *kind, namespace string) (store.Listing, error) {
	for tries := 1; ; tries++ {
		out, err := s.pages(ctx, k, namespace)
		switch {
		case err == nil:
			return out, nil
		case isExpired(err) && tries < listTries:
		case code(err) == http.StatusForbidden:
			return store.Listing{}, err
		case apierrors.IsNotFound(err) && k.optional:
			return store.Listing{}, nil // it was served a moment ago
		default:
			return store.Listing{}, s.failed(k.FullResource(), err)
		}
	}
}

// forbidden says which kind is left out.
func (s *source) forbidden(k *kind, err error) store.Listing {
	return store.Listing{Findings: []store.Finding{{
		Note: s.opts.Namespace != "",
		Message: fmt.Sprintf("%s cannot be read, so that none of them are seen here and verdicts may be wrong: %v: a role of the user needs the rule %s",
			k.FullResource(), err, k.rule()),
	}}}
}

// pages reads all pages of a list, of one namespace or of all.
func (s *source) pages(ctx context.Context, k *kind, namespace string) (store.Listing, error) {
	var out listing
	d := newDecoder(k)
	next := ""
	for {
		p, err := s.client.list(ctx, k, namespace, next)
		if err != nil {
			return store.Listing{}, err
		}
		for _, item := range p.items {
			if err := out.add(d, item, p.enc); err != nil {
				return store.Listing{}, err
			}
		}
		if next = p.next; next == "" {
			return out.Listing, nil
		}
	}
}

// oneNamespace reads the namespace that a list is limited to: a role of the
// namespace may allow that, but no list of namespaces.
func (s *source) oneNamespace(ctx context.Context, k *kind, name string) (store.Listing, error) {
	data, err := s.client.read(ctx, s.client.get(append(k.path(""), name), k.accept()))
	switch {
	case code(err) == http.StatusForbidden:
		return s.forbidden(k, err), nil
	case apierrors.IsNotFound(err):
		return store.Listing{}, fmt.Errorf("namespace %q does not exist", name)
	case err != nil:
		return store.Listing{}, s.failed(k.FullResource(), err)
	}
	var out listing
	if err := out.add(newDecoder(k), data, encodingOf(data)); err != nil {
		return store.Listing{}, s.failed(k.FullResource(), err)
	}
	return out.Listing, nil
}

// listing is a Listing that is being made.
type listing struct{ store.Listing }

// add adds one object.
func (l *listing) add(d *decoder, data []byte, enc encoding) error {
	o, err := d.decode(data, enc)
	if err != nil {
		return &malformed{fmt.Errorf("an object %w", err)}
	}
	b := o.build()
	r := store.Resource{Key: d.kind.keyOf(o.identity), Object: b.object}
	l.Findings = append(l.Findings, b.findings...)
	switch {
	case b.valid():
		l.Resources = append(l.Resources, r)
	case b.object != nil:
		l.Rejected = append(l.Rejected, store.Rejected{Resource: r, Unread: b.unread})
	}
	return nil
}
