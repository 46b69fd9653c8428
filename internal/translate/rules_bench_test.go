package translate_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// BenchmarkManyRules changes one policy of many rules, each of peers of its own.
func BenchmarkManyRules(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			var versions [2]store.Resource
			for v := range versions {
				p := &v3.GlobalNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "many"}}
				for i := range n + v {
					r := v3.Rule{Action: v3.Allow, Source: v3.EntityRule{Selector: fmt.Sprintf("app == 'a%d' && env in {'prod', 'stage'}", i)}}
					if i%2 == 1 {
						r.Source = v3.EntityRule{Nets: []string{fmt.Sprintf("20.%d.%d.0/24", i>>8&255, i&255)}}
					}
					p.Spec.Ingress = append(p.Spec.Ingress, r)
				}
				versions[v] = store.Resource{Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: p.Name}, Object: p}
			}
			tr := translate.New(translate.Options{})
			tr.Update(versions[0])
			b.ReportAllocs()
			for i := 1; b.Loop(); i++ {
				if got := len(tr.Update(versions[i%2]).Changes); got != 1 {
					b.Fatal(got)
				}
			}
		})
	}
}
