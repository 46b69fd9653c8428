package translate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// A policy that is in force never loses its tier, for without it nobody would be asked:
//
//   - a new version that names a tier which is missing waits for it, and the version before
//     stays in force;
//   - a tier that is deleted under its policies is held: its last order and default action
//     hold until no policy names it any more, or it comes back.
//
// Offline, where one state is translated, there are no earlier versions, and none of this.

// mustWait reports whether a new version of a policy waits for its tier. One that comes
// with the same batch is there when tiers are joined.
func (t *Translator) mustWait(o *object, p *source.Parsed) bool {
	tier := p.TierName() // none of a profile
	return o.compiled != nil && o.valid && p.Policy != nil && tier != "" && !t.opts.Offline && !t.tiers.inForce(tier)
}

// await notes the version of a policy that waits for its tier; nil for none.
func (t *Translator) await(o *object, p *source.Parsed) {
	if o.waiting != nil {
		t.tiers.waiting.remove(o.waiting.TierName(), o)
	}
	if p != nil {
		t.tiers.waiting.add(p.TierName(), o)
	}
	if o.waiting != nil || p != nil {
		t.step.dirty[o] = struct{}{}
	}
	o.waiting = p
}

// joinTiers joins the tiers, and puts in force the versions that waited for those that came.
// By that a policy leaves the tier that it named before, which may be held for its sake.
func (t *Translator) joinTiers() {
	for {
		tiers := t.step.drainDirty(true)
		if len(tiers) == 0 {
			return
		}
		for _, o := range tiers {
			t.join(o)
		}
		for _, tier := range tiers {
			if !t.tiers.inForce(tier.key.Name) {
				continue
			}
			for o := range t.tiers.waiting[tier.key.Name] {
				t.step.touch(o)
				t.adopt(o, o.waiting)
			}
		}
	}
}

// canHold reports whether an object that the source has no more is a tier which may be held. The
// fixed ones are there without an object.
func (t *Translator) canHold(o *object) bool {
	_, isTier := o.parsed.(*policy.Tier)
	return isTier && !o.fixed && !t.opts.Offline && o.compiled != nil
}

// hold reports whether policies name a tier that is deleted, and says so on the tier. One of which
// the source has an invalid version again is kept by that.
func (t *tierIndex) hold(o *object) bool {
	if o.present {
		o.setUnjoined(nil)
		return true
	}
	names := make([]string, 0, 4)
	policies := t.policies[o.key.Name]
	for p := range policies {
		names = append(names, store.ObjectName(p.key))
	}
	if len(names) == 0 {
		o.setUnjoined(nil)
		return false
	}
	slices.Sort(names)
	if more := len(names) - 3; more > 0 {
		names = append(names[:3], fmt.Sprintf("%d more", more))
	}
	tier := o.parsed.(*policy.Tier)
	o.setUnjoined([]store.Finding{{Key: o.key, Message: fmt.Sprintf(
		"was deleted, but policies name it (%s): it stays in force with %s and default action %s; create it again, or delete these policies or have them name another tier",
		strings.Join(names, ", "), orderText(tier.Order), tier.DefaultAction)}})
	return true
}

func orderText(order float64) string {
	if math.IsInf(order, 1) {
		return "no order"
	}
	return fmt.Sprintf("order %v", order)
}

// touchHeld marks a tier whose policies are others now, if it is held for their sake.
func (t *tierIndex) touchHeld(name string) {
	if o := t.byName[name]; o != nil && o.held {
		t.step.dirty[o] = struct{}{}
	}
}
