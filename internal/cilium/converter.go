package cilium

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// converter is a conversion under way.
type converter struct {
	Result
	taken          map[policy.Key]bool
	tier           string
	first          *store.Resource            // the policy for whose sake the tier is there
	sets           map[string]*store.Resource // network sets that are used, by the value of their label
	nodes, servers []netip.Prefix
	portNames      portNames
	askedNodes     bool // some rule speaks of nodes, or of what is none
}

// free returns the key, or one like it that nothing has.
func (c *converter) free(key policy.Key) policy.Key {
	name := key.Name
	if len(name) > 240 { // an object's name has 253 letters at most
		name = strings.TrimRight(name[:240], ".-")
	}
	for n := 1; ; n++ {
		if key.Name = name; n > 1 {
			key.Name = fmt.Sprintf("%s-%d", name, n)
		}
		if !c.taken[key] {
			c.taken[key] = true
			return key
		}
	}
}

// policyConverter converts one policy.
type policyConverter struct {
	*converter
	from      *store.Resource
	isInvalid bool
	lost      []store.Finding
	out       []v3.GlobalNetworkPolicy
	sets      map[string]*store.Resource
	asksNodes bool
}

// invalid notes what Cilium would not accept.
func (p *policyConverter) invalid(field, format string, args ...any) {
	p.isInvalid = true
	p.Invalid = append(p.Invalid, p.from.At(field, format, args...))
}

// lose notes what cannot be expressed. of is what is left out for that reason.
func (p *policyConverter) lose(field, of, format string, args ...any) {
	p.lost = append(p.lost, p.from.At(field, format+": %s", append(args, of)...))
}

// leftOut says what it means that a rule, or a part of it, is not there.
func leftOut(action v3.Action) string {
	if action == v3.Deny {
		return "it is left out, and what it denies is not denied"
	}
	return "it is left out, and what it allows is not allowed"
}

// ruleConverter converts one rule.
type ruleConverter struct {
	*policyConverter
	*peerRule
	direction policy.Direction
	action    v3.Action
	isLost    bool // all of it
}

// loseAll leaves the whole rule out.
func (r *ruleConverter) loseAll(field, format string, args ...any) {
	r.lose(r.field+"."+field, leftOut(r.action), format, args...)
	r.isLost = true
}

// losePart leaves a part of the rule out.
func (r *ruleConverter) losePart(field, format string, args ...any) {
	r.lose(r.field+"."+field, leftOut(r.action), format, args...)
}

func index(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }

func note(f store.Finding) store.Finding {
	f.Note = true
	return f
}
