package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/lasterror"
	"github.com/tierwall/tierwall/policy"
)

// The fixed tiers hold without an object. That there is one all the same is for people and tools who
// look for the tier that a policy names.

// keepFixedTiers makes the objects of the fixed tiers that are missing, until the context ends. Those that
// are there it leaves as they are: nothing of them can be edited that decides anything.
func (l *leader) keepFixedTiers(ctx context.Context) error {
	var last lasterror.Error
	l.repeat(ctx, func(int) {
		err := l.makeFixedTiers(ctx)
		if ctx.Err() != nil {
			return
		}
		if _, changed, _ := last.Set(err); changed {
			l.log.Warn("the objects of the tiers that always exist cannot be made, and the tiers are there without; it is tried again", "error", err)
		}
	})
	return nil
}

// makeFixedTiers makes what is missing. Tiers without a status are served by somebody else, who has
// tiers of their own.
func (l *leader) makeFixedTiers(ctx context.Context) error {
	k := kindOf[policy.KindTier]
	if !l.served.has(k) {
		return nil
	}
	var errs []error
	for _, tier := range policy.FixedTiers() {
		if l.state.knows(tier.ObjectKey()) {
			continue
		}
		if err := l.limit.Wait(ctx); err != nil {
			return err
		}
		err := l.client.createTier(ctx, k, tier)
		switch {
		case err == nil:
			l.log.Info("made the object of a tier that always exists", "tier", tier.Name)
		case !apierrors.IsAlreadyExists(err):
			errs = append(errs, fmt.Errorf("tier %s: %w", tier.Name, err))
		}
	}
	return errors.Join(errs...)
}

// createTier makes a tier's object.
func (c *client) createTier(ctx context.Context, k *kind, tier *policy.Tier) error {
	order, action := tier.Order, v3.Action(tier.DefaultAction.String())
	body, err := json.Marshal(&v3.Tier{
		TypeMeta:   metav1.TypeMeta{APIVersion: k.APIVersion(), Kind: k.Name},
		ObjectMeta: metav1.ObjectMeta{Name: tier.Name},
		Spec:       v3.TierSpec{Order: &order, DefaultAction: &action},
	})
	if err != nil {
		return err
	}
	return c.rest.Post().AbsPath(k.path("", "", "")...).Param("fieldManager", manager).
		SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
}
