package nodereport

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/hostlink"
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
	r.Renewed = metav1.NewTime(time.Now().Truncate(time.Second))
	r.AgentVersion = clip(c.cfg.Version, 256)
	if applied := c.cfg.Applied(); !applied.IsZero() {
		r.Applied = metav1.NewTime(applied.Truncate(1e9)) // what the API keeps
	}
	c.mu.Lock()
	if n := c.node; n != nil && n.UID != "" {
		out.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: policy.KindNode, Name: n.Name, UID: n.UID}}
	}
	c.mu.Unlock()
	affected := c.cfg.NotEnforceable.Affected()
	var stale []string
	c.env.Model.Read(func(v model.View) {
		fill(r, v, affected)
		stale = staleReasons(v)
	})
	fillNotEnforceable(r, c.cfg.NotEnforceable.Findings(), len(affected))
	fillLocal(r, c.cfg.Host())
	r.Error = clip(strings.Join(slices.Concat(stale, errorsOf(c.env.NotReady(), r), c.cfg.CutOff()), "; "), v1alpha1.MaxMessage)
	return out
}

// staleReasons returns why the store cannot be followed: what is in force may not be its present state.
func staleReasons(v model.View) (reasons []string) {
	if v.StaleSince().IsZero() {
		return nil
	}
	for _, f := range v.Findings() {
		if !f.Note && f.Key == (policy.Key{}) {
			reasons = append(reasons, f.Error())
		}
	}
	return reasons
}

// errorsOf returns what is wrong with the node: with the kernel, and with endpoints whose packets do not come by there.
func errorsOf(notReady string, r *v1alpha1.Report) (wrong []string) {
	if notReady != "" {
		wrong = append(wrong, notReady)
	}
	if n := r.NotEnforceableEndpoints; n > 0 {
		wrong = append(wrong, fmt.Sprintf("policy is not in force for %d of %d endpoints", n, n+r.Endpoints))
	}
	for _, f := range r.NotEnforceable {
		wrong = append(wrong, f.Message)
	}
	return wrong
}

// fillNotEnforceable adds the reasons for which policy is not in force for so many endpoints in all.
func fillNotEnforceable(r *v1alpha1.Report, findings []enforceable.Finding, endpoints int) {
	r.NotEnforceableEndpoints = int32(endpoints) //nolint:gosec // a node has hundreds
	r.Endpoints = max(0, r.Endpoints-r.NotEnforceableEndpoints)
	for _, f := range findings[:min(len(findings), v1alpha1.MaxNotEnforceable)] {
		n := v1alpha1.NotEnforceable{
			Reason: string(f.Cause), Message: clip(f.String(), v1alpha1.MaxMessage), Endpoints: int32(len(f.Endpoints)), //nolint:gosec // a node has hundreds
		}
		for _, key := range f.Endpoints[:min(len(f.Endpoints), v1alpha1.MaxNames)] {
			n.Names = append(n.Names, key.Namespace+"/"+key.Name)
		}
		r.NotEnforceable = append(r.NotEnforceable, n)
	}
}

// fill adds what the model says; affected are the endpoints that policy is not in force for.
func fill(r *v1alpha1.Report, v model.View, affected map[policy.Key]enforceable.Reason) {
	r.Endpoints = int32(v.Enforced()) //nolint:gosec // a node has hundreds
	isAffected := func(key policy.Key) bool { _, yes := affected[key]; return yes }
	v.Selected(isAffected, func(p *policy.Policy, endpoints, affected int) {
		key := p.ObjectKey()
		r.Policies = append(r.Policies, v1alpha1.ReportedPolicy{
			Kind: key.Kind, Namespace: key.Namespace, Name: key.Name, Generation: v.Generation(key),
			Endpoints: int32(endpoints - affected), NotEnforceable: int32(affected), //nolint:gosec // a node has hundreds
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

// fillLocal adds what was found of the host: its addresses, and where it unpacks packets.
func fillLocal(r *v1alpha1.Report, found hostlink.Result) {
	for _, a := range found.LocalAddrs { // in order
		switch _, service := slices.BinarySearchFunc(found.ServiceAddrs, a, netip.Addr.Compare); {
		case service, a.IsLoopback(), a.Is6() && a.IsLinkLocalUnicast():
		case len(r.LocalAddresses) == v1alpha1.MaxLocalAddresses:
			r.LocalTruncated = true
		default:
			r.LocalAddresses = append(r.LocalAddresses, a.String())
		}
	}
	for _, port := range hostlink.UDPPorts(found.Tunnels) {
		switch {
		case slices.Contains(dataplane.UsualTunnelPorts, port):
		case len(r.TunnelPorts) == v1alpha1.MaxTunnelPorts:
			r.LocalTruncated = true
		default:
			r.TunnelPorts = append(r.TunnelPorts, int32(port))
		}
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
