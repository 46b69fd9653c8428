package podstart

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/cni/wire"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// pods holds the pods of this node that are in the store, and what the CNI plugin
// says of those that were started here. The plugin knows first what addresses a
// pod has, and last that it has ended: what it says replaces what the store says.
type pods struct {
	node     string
	known    map[policy.Key]store.Resource // of the store, with *corev1.Pod
	attached map[policy.Key]map[wire.Attachment]cni.Pod
	// ended are pods that the store no longer has, although they have not ended:
	// they were deleted by force. Policy holds for them until they have.
	ended map[policy.Key]bool
	// nodes are those that some pod is or was on: how large the cluster is.
	nodes map[string]struct{}
}

func newPods(node string) *pods {
	return &pods{
		node: node, known: map[policy.Key]store.Resource{},
		attached: map[policy.Key]map[wire.Attachment]cni.Pod{}, ended: map[policy.Key]bool{},
		nodes: map[string]struct{}{},
	}
}

func podKey(id cni.PodID) policy.Key {
	return policy.Key{Kind: policy.KindPod, Namespace: id.Namespace, Name: id.Name}
}

// adapt takes in what a batch says of pods of this node, and makes it say what the
// plugin knows better.
func (p *pods) adapt(b *store.Batch) {
	own := false // the batch is the store's until something is changed
	for i := range b.Updated {
		r := b.Updated[i]
		pod, ok := r.Object.(*corev1.Pod)
		if !ok {
			continue
		}
		if _, seen := p.nodes[pod.Spec.NodeName]; !seen && pod.Spec.NodeName != "" {
			p.nodes[strings.Clone(pod.Spec.NodeName)] = struct{}{} // not the whole answer that it is a part of
		}
		if pod.Spec.NodeName != p.node || pod.Spec.HostNetwork {
			delete(p.known, r.Key)
			delete(p.ended, r.Key)
			continue
		}
		p.known[r.Key] = r
		delete(p.ended, r.Key)
		if now, changed := p.resource(r.Key); changed {
			if !own {
				b.Updated, own = slices.Clone(b.Updated), true
			}
			b.Updated[i] = now
		}
	}
	b.Deleted = slices.DeleteFunc(slices.Clone(b.Deleted), func(key policy.Key) bool {
		r, ok := p.known[key]
		if ok && len(p.of(r)) > 0 {
			p.ended[key] = true
			return true
		}
		delete(p.known, key)
		return false
	})
}

// of returns what the plugin has told of a pod of the store: of this pod, not of an
// earlier one of the same name.
func (p *pods) of(r store.Resource) []cni.Pod {
	var list []cni.Pod
	for _, at := range p.attached[r.Key] {
		if isOf(r.Object.(*corev1.Pod), at) {
			list = append(list, at)
		}
	}
	slices.SortFunc(list, cmpAttachment)
	return list
}

func cmpAttachment(a, b cni.Pod) int {
	return strings.Compare(a.Attachment.String(), b.Attachment.String())
}

// isOf reports whether what the plugin said is about this pod. A pod that its node
// runs by itself (a static one) has another UID there than in the API.
func isOf(pod *corev1.Pod, at cni.Pod) bool {
	if pod.UID == "" || at.UID == "" || string(pod.UID) == at.UID {
		return true
	}
	return slices.ContainsFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == policy.KindNode })
}

// resource returns a pod of this node as it is to be translated, and whether that is
// not as the store has it.
func (p *pods) resource(key policy.Key) (store.Resource, bool) {
	r := p.known[key]
	attached := p.of(r)
	if len(attached) == 0 {
		return r, false
	}
	pod := *r.Object.(*corev1.Pod)
	pod.Status.PodIP, pod.Status.PodIPs = "", nil
	for _, at := range attached {
		for _, a := range at.Addrs {
			pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: a.String()})
		}
	}
	pod.Status.PodIP = pod.Status.PodIPs[0].IP
	r.Object = &pod
	return r, true
}

// attach takes in what the plugin says of a pod, and gives the batch that says so.
func (p *pods) attach(pod cni.Pod) store.Batch {
	key := podKey(pod.PodID)
	if p.attached[key] == nil {
		p.attached[key] = map[wire.Attachment]cni.Pod{}
	}
	p.attached[key][pod.Attachment] = pod
	return p.again(key)
}

// detach takes that back. A pod that the store no longer has is gone then.
func (p *pods) detach(id cni.PodID) (b store.Batch, changed bool) {
	key := podKey(id)
	if _, ok := p.attached[key][id.Attachment]; !ok {
		return store.Batch{}, false
	}
	delete(p.attached[key], id.Attachment)
	if len(p.attached[key]) == 0 {
		delete(p.attached, key)
	}
	if r, ok := p.known[key]; ok && p.ended[key] && len(p.of(r)) == 0 {
		delete(p.known, key)
		delete(p.ended, key)
		return store.Batch{Deleted: []policy.Key{key}}, true
	}
	return p.again(key), true
}

// again returns the batch that says what a pod is now.
func (p *pods) again(key policy.Key) store.Batch {
	if _, ok := p.known[key]; !ok {
		return store.Batch{}
	}
	r, _ := p.resource(key)
	return store.Batch{Updated: []store.Resource{r}}
}

// linkOf returns what the plugin told of a pod's link: the host's interface and its number, and
// the pod's hardware address; all are empty if it told nothing.
func (p *pods) linkOf(key policy.Key) (link Link) {
	for _, at := range p.attached[key] {
		if r, ok := p.known[key]; !ok || !isOf(r.Object.(*corev1.Pod), at) {
			continue
		}
		switch {
		case at.HostInterface == "":
			// A network without a link on the host, beside one with it or not.
		case link.Interface != "" && (link.Interface != at.HostInterface || link.Index != at.HostIndex):
			return Link{} // two networks, or a sandbox that is being replaced
		default:
			link.Interface, link.Index = at.HostInterface, at.HostIndex
			if mac, err := net.ParseMAC(at.MAC); err == nil && len(mac) == 6 { // Ethernet
				link.MAC = mac
			}
		}
	}
	return link
}

// missing says why a pod that the plugin told of cannot be enforced for yet; empty
// if it can.
func (p *pods) missing(pod cni.Pod) string {
	r, ok := p.known[podKey(pod.PodID)]
	switch {
	case !ok:
		return fmt.Sprintf("the store does not have pod %s on node %s yet", pod.PodID, p.node)
	case !isOf(r.Object.(*corev1.Pod), pod):
		return fmt.Sprintf("the store has an earlier pod %s still (%s, not %s)", pod.PodID, r.Object.(*corev1.Pod).UID, pod.UID)
	}
	return ""
}

// holds reports whether an endpoint has all of the addresses.
func holds(ep *policy.Endpoint, addrs []netip.Addr) bool {
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !slices.Contains(ep.Addrs, a) })
}
