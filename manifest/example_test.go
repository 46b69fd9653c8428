package manifest_test

import (
	"errors"
	"fmt"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/manifest"
	"github.com/tierwall/tierwall/policy"
)

// Can the web pods reach the database, and which policy says so?
func Example() {
	m, err := manifest.Load([]string{"testdata/shop"}, manifest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	web := m.Endpoint(policy.Key{Kind: "Deployment", Namespace: "shop", Name: "web"})
	db := m.Endpoint(policy.Key{Kind: "Pod", Namespace: "shop", Name: "db-0"})
	flow := policy.Flow{Src: web.Addrs[0], Dst: db.Addrs[0], Protocol: policy.TCP, SrcPort: 50000, DstPort: 5432}
	result := evaluate.New(m.Model).Evaluate(flow)
	fmt.Printf("%s by %s, rule %d\n", result.Verdict, result.Ingress.By.Name, result.Ingress.By.Rule)
	// Output: Allow by db, rule 0
}

// Who can reach whom?
func ExampleManifests_reach() {
	m, err := manifest.Load([]string{"testdata/shop"}, manifest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	reach, err := analyze.Reach(m.Model, analyze.ReachOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, pair := range reach.Pairs {
		if pair.Src.Kind == analyze.WorkloadEnd && pair.Dst.Kind == analyze.WorkloadEnd {
			fmt.Println(pair.Src, "->", pair.Dst, pair.Allowed)
		}
	}
	// Output:
	// shop/Deployment/web -> shop/Pod/db-0 TCP 5432
	// shop/Pod/db-0 -> shop/Deployment/web All
}

const broken = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelctor: {matchLabels: {app: db}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: security.quarantine}
spec:
  tier: security
  selector: quarantine = 'yes'
`

// Everything that is wrong is said at once, with its place.
func ExampleInvalidError() {
	_, err := manifest.Parse("broken.yaml", []byte(broken), manifest.Options{})
	if invalid, ok := errors.AsType[*manifest.InvalidError](err); ok {
		for _, f := range invalid.Findings {
			fmt.Printf("line %d, %s %s: %s\n", f.Line, f.Object.Kind, f.Object.Name, f.Field)
		}
		fmt.Println(invalid.Findings[0])
	}
	// Output:
	// line 6, KubernetesNetworkPolicy db: spec.podSelctor
	// line 12, GlobalNetworkPolicy security.quarantine: spec.tier
	// line 13, GlobalNetworkPolicy security.quarantine: spec.selector
	// broken.yaml:6: NetworkPolicy shop/db: spec.podSelctor: unknown field; did you mean "podSelector"?
}

// Invalid objects are left out if the caller asks for that.
func ExampleManifests_LeftOut() {
	m, err := manifest.Parse("broken.yaml", []byte(broken), manifest.Options{SkipInvalid: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(m.Model.Policies), "policies; left out:", m.LeftOut())
	// Output: 0 policies; left out: [GlobalNetworkPolicy/security.quarantine shop/KubernetesNetworkPolicy/db]
}
