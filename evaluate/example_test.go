package evaluate_test

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

func Example() {
	db := &policy.Endpoint{
		Key:     policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "db"},
		Addrs:   []netip.Addr{netip.MustParseAddr("10.0.0.2")},
		Labels:  selector.NewLabels(map[string]string{"app": "db"}),
		Profile: "kns.shop",
	}
	// A policy without rules: nothing may come in.
	closed := &policy.Policy{
		Key:      policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "closed"},
		Tier:     "default",
		Selector: selector.MustParse("app == 'db'"),
		Types:    [2]bool{policy.Ingress: true},
	}
	res := evaluate.New(&policy.Model{
		Tiers: policy.FixedTiers(), Policies: []*policy.Policy{closed}, Endpoints: []*policy.Endpoint{db},
	}).Evaluate(policy.Flow{
		Src: netip.MustParseAddr("192.0.2.1"), Dst: db.Addrs[0],
		Protocol: policy.TCP, SrcPort: 50000, DstPort: 5432,
	})
	fmt.Println(res.Verdict, "by the end of tier", res.Ingress.By.Tier, "after", res.Ingress.By.Name)
	// Output: Deny by the end of tier default after closed
}
