package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// decidingKind is an object of one kind, by which a verdict can be told to depend on it.
type decidingKind struct {
	object string // its manifest, with META where its metadata can be broken
	others string // what else there is, beside two pods
	// holds reports whether the object is in force.
	holds func(r *rig) bool
	// named says that others name the object, so that it stays when it is deleted.
	named bool
}

// The connection that most objects are about: web is elsewhere, db is here.
func allowed(r *rig) bool { return r.k.allows("10.0.0.2", "10.0.0.1", 80) }

func denied(r *rig) bool { return !allowed(r) }

// denyOthers governs db, so that it is denied what the rest does not allow.
const denyOthers = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: others}
spec: {order: 1000, selector: app == 'db', types: [Ingress, Egress]}
`

func allowFrom(source string) string {
	return denyOthers + `
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: some}
spec: {selector: app == 'db', types: [Ingress], ingress: [{action: Allow, source: ` + source + `}]}
`
}

const (
	webPod = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: there, serviceAccountName: web, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.2}
`
	dbPod = `
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}META}
spec: {nodeName: here, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.1}
`
	dbService = `
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shopMETA}
spec: {selector: {app: api}, ports: [{port: 80, protocol: TCP}]}
`
	dbSlice = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: api-1, namespace: shop, labels: {kubernetes.io/service-name: api}META}
addressType: IPv4
endpoints: [{addresses: [10.3.0.1]}]
ports: [{port: 5432, protocol: TCP}]
`
	toService = denyOthers + `
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-api, namespace: shop}
spec: {selector: app == 'db', types: [Egress], egress: [{action: Allow, destination: {services: {name: api}}}]}
`
)

func dbToAPI(r *rig) bool {
	return r.k.allows("10.0.0.1", "10.3.0.1", 5432) && !r.k.allows("10.0.0.1", "10.3.0.2", 5432)
}

func set(kind, name string) string {
	return "apiVersion: projectcalico.org/v3\nkind: " + kind + "\nmetadata: {" + name + ", labels: {of: us}META}\nspec: {nets: [10.9.0.0/16]}\n"
}

func fromSet(r *rig) bool { return r.k.allows("10.9.0.1", "10.0.0.1", 80) && denied(r) }

var decidingKinds = map[string]decidingKind{
	policy.KindNamespace: {
		object: "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: us}META}\n",
		others: allowFrom("{namespaceSelector: team == 'us'}"),
		holds:  allowed,
	},
	policy.KindServiceAccount: {
		object: "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop, labels: {role: front}META}\n",
		others: allowFrom("{serviceAccounts: {selector: role == 'front'}}"),
		holds:  allowed,
	},
	policy.KindNode: {
		object: "apiVersion: v1\nkind: Node\nmetadata: {name: there, labels: {role: storage}META}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2.9}]}\n",
		others: denyOthers + `
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: storage}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  egress: [{action: Accept, to: [{nodes: {matchLabels: {role: storage}}}]}]
`,
		holds: func(r *rig) bool { return r.k.allows("10.0.0.1", "192.0.2.9", 80) },
	},
	// What a rule matches of a service are its slices. The object says which servers of
	// DNS are trusted, by the address that no table in memory shows.
	policy.KindService: {
		object: dbService,
		others: toService,
		holds: func(r *rig) (is bool) {
			r.a.model.Read(func(v model.View) {
				state := v.Status(policy.Key{Kind: policy.KindService, Namespace: "shop", Name: "api"}).State
				is = state == translate.InForce || state == translate.LastValid
			})
			return is
		},
	},
	policy.KindEndpointSlice:    {object: dbSlice, others: dbService + "\n---" + toService, holds: dbToAPI},
	policy.KindNetworkSet:       {object: set("NetworkSet", "name: s, namespace: shop"), others: allowFrom("{selector: of == 'us'}"), holds: fromSet},
	policy.KindGlobalNetworkSet: {object: set("GlobalNetworkSet", "name: s"), others: allowFrom("{selector: of == 'us'}"), holds: fromSet},
	policy.KindTier: {
		object: "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: firstMETA}\nspec: {order: 10}\n",
		others: "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: first.all}\nspec: {tier: first, selector: app == 'db', types: [Ingress]}\n",
		holds:  denied,
		named:  true,
	},
	policy.KindNetworkPolicy: {
		object: "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: db, namespace: shopMETA}\nspec: {types: [Ingress]}\n",
		holds:  denied,
	},
	policy.KindGlobalNetworkPolicy: {
		object: "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: dbMETA}\nspec: {types: [Ingress]}\n",
		holds:  denied,
	},
	policy.KindKubernetesNetworkPolicy: {
		object: "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: shopMETA}\nspec: {podSelector: {}}\n",
		holds:  denied,
	},
	policy.KindClusterNetworkPolicy: {
		object: "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: dbMETA}\n" +
			"spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n",
		holds: denied,
	},
	policy.KindAdminNetworkPolicy: {
		object: "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: dbMETA}\n" +
			"spec: {priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n",
		holds: denied,
	},
	policy.KindBaselineAdminNetworkPolicy: {
		object: "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: defaultMETA}\n" +
			"spec: {subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n",
		holds: denied,
	},
	policy.KindHostEndpoint: {
		object: "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: uplink, labels: {role: host}META}\nspec: {node: here, interfaceName: eth0, expectedIPs: [192.0.2.1]}\n",
		others: hostPolicyYAML,
		holds: func(r *rig) bool {
			r.k.mu.Lock()
			defer r.k.mu.Unlock()
			return r.k.latest != nil && r.k.latest.State().HasAttachments()
		},
	},
	policy.KindProfile: {
		object: "apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: servicesMETA}\nspec: {ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}\n",
		others: denyOthers + `
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: vm, namespace: shop}
spec: {node: here, ipNetworks: [10.0.0.9], profiles: [services]}
`,
		holds: func(r *rig) bool {
			return r.k.allows("10.4.0.1", "10.0.0.9", 80) && !r.k.allows("10.4.0.1", "10.0.0.9", 81)
		},
	},
	policy.KindPod: {
		object: dbPod,
		others: denyOthers,
		holds:  denied,
	},
	policy.KindWorkloadEndpoint: {
		object: "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata: {name: vm, namespace: shop, labels: {app: db}META}\n" +
			"spec: {node: here, orchestrator: host, workload: vm, endpoint: eth0, interfaceName: tap0, ipNetworks: [10.4.0.1/32]}\n",
		others: denyOthers,
		holds:  func(r *rig) bool { return !r.k.allows("10.0.0.2", "10.4.0.1", 80) },
	},
}

// TestRestartKeepsEveryKind: an object that decides is in force; the agent is started
// again while the object is broken. Its last valid version decides, for every kind on
// which verdicts depend: otherwise a slip at the wrong moment would open a host.
func TestRestartKeepsEveryKind(t *testing.T) {
	broken := map[string]func(object string) string{
		"it does not parse":       func(o string) string { return strings.Replace(o, "META", ", resourceVersion: [7]", 1) },
		"it is invalid":           func(o string) string { return strings.Replace(o, "META", `, annotations: {"a b": c}`, 1) },
		"its file does not parse": func(string) string { return "kind: [\n" },
	}
	for _, k := range policy.Kinds() {
		if !k.Decides {
			continue
		}
		d, known := decidingKinds[k.Key]
		if !known {
			t.Errorf("%s decides, but no test shows that it survives a restart: add it to decidingKinds", k.Key)
			continue
		}
		for how, breakIt := range broken {
			t.Run(k.Key+"/"+how, func(t *testing.T) { d.restart(t, breakIt(d.object)) })
		}
	}
	t.Run("an address that is none", func(t *testing.T) {
		d := decidingKinds[policy.KindHostEndpoint]
		d.restart(t, strings.NewReplacer("META", "", "192.0.2.1", "192.0.2.999").Replace(d.object))
	})
}

func (d *decidingKind) restart(t *testing.T, broken string) {
	files := map[string]string{"web.yaml": webPod, "db.yaml": dbPod, "others.yaml": d.others, "object.yaml": d.object}
	if d.object == dbPod {
		delete(files, "db.yaml")
	}
	for name, text := range files {
		files[name] = strings.ReplaceAll(text, "META", "")
	}
	run := t.TempDir()
	first := newRig(t, files, keepsIn(run))
	first.eventually("in force", func() bool { return first.status().Ready && d.holds(first) })
	first.stop()

	first.write("object.yaml", broken)
	second := newRigIn(t, first.dir, keepsIn(run))
	second.eventually("something is in force", func() bool { return second.status().Ready })
	if !d.holds(second) {
		t.Error("the last valid version does not decide")
	}
	second.stop()

	without := newRigIn(t, first.dir, keepsIn(t.TempDir()))
	without.eventually("something is in force", func() bool { return without.status().Ready })
	if d.holds(without) {
		t.Fatal("what is asked does not depend on the object, so that nothing was tested")
	}
	without.stop()

	if err := os.Remove(filepath.Join(first.dir, "object.yaml")); err != nil {
		t.Fatal(err)
	}
	third := newRigIn(t, first.dir, keepsIn(run))
	third.eventually("something is in force", func() bool { return third.status().Ready })
	if got := d.holds(third); got != d.named {
		t.Errorf("an object that is gone is in force: %v, want %v", got, d.named)
	}
}
