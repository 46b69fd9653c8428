package nodereport

import (
	"slices"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// build returns what is enforced on this node, as the cluster is told.
func (c *Component) build() *v1alpha1.NodePolicyReport {
	out := &v1alpha1.NodePolicyReport{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion, Kind: "NodePolicyReport"},
		ObjectMeta: metav1.ObjectMeta{Name: c.env.Node},
	}
	r := &out.Report
	r.AgentVersion = clip(c.cfg.Version, 256)
	if applied := c.cfg.Applied(); !applied.IsZero() {
		r.Applied = metav1.NewTime(applied.Truncate(1e9)) // what the API keeps
	}
	wrong := c.cfg.Bypasses()
	if why := c.env.NotReady(); why != "" {
		wrong = append([]string{why}, wrong...)
	}
	r.Error = clip(strings.Join(wrong, "; "), v1alpha1.MaxMessage)
	c.mu.Lock()
	if n := c.node; n != nil && n.UID != "" {
		out.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: policy.KindNode, Name: n.Name, UID: n.UID}}
	}
	c.mu.Unlock()
	c.env.Model.Read(func(v model.View) { fill(r, v) })
	return out
}

// fill adds what the model says.
func fill(r *v1alpha1.Report, v model.View) {
	r.Endpoints = int32(v.Enforced()) //nolint:gosec // a node has hundreds
	v.Selected(func(p *policy.Policy, endpoints int) {
		key := p.ObjectKey()
		r.Policies = append(r.Policies, v1alpha1.ReportedPolicy{
			Kind: key.Kind, Namespace: key.Namespace, Name: key.Name,
			Generation: v.Generation(key), Endpoints: int32(endpoints), //nolint:gosec // a node has hundreds
		})
	})
	slices.SortFunc(r.Policies, func(a, b v1alpha1.ReportedPolicy) int {
		return policy.Key{Kind: a.Kind, Namespace: a.Namespace, Name: a.Name}.Compare(policy.Key{Kind: b.Kind, Namespace: b.Namespace, Name: b.Name})
	})
	if len(r.Policies) > v1alpha1.MaxPolicies {
		r.Policies, r.Truncated = r.Policies[:v1alpha1.MaxPolicies], true
	}
	for _, s := range v.Invalid() {
		if s.State == translate.InForce {
			continue // what is wrong with it fails closed
		}
		if len(r.Invalid) == v1alpha1.MaxInvalid {
			break
		}
		r.Invalid = append(r.Invalid, v1alpha1.InvalidObject{
			Kind: s.Key.Kind, Namespace: s.Key.Namespace, Name: s.Key.Name, Message: clip(messages(s.Findings), v1alpha1.MaxMessage),
		})
	}
}

// messages joins what is wrong with one object, without its name.
func messages(findings []store.Finding) string {
	var texts []string
	for _, f := range findings {
		f.Key, f.File, f.Line = policy.Key{}, "", 0
		texts = append(texts, f.Error())
	}
	return strings.Join(texts, "; ")
}

// clip shortens a text to so many bytes.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const tail = " ..."
	n -= len(tail)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + tail
}
