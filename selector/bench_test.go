package selector

import (
	"fmt"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct{ name, text string }{
		{"two terms", `a == 'x' && has(b)`},
		{"two terms, not canonical", `(a=="x"  && has( b ))`},
		{"sets and negation", `role in {'frontend','backend'} && env not in {'dev'} || !(name starts with 'tmp-')`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(bench.text); err != nil {
					b.Fatal(err)
				}
			}
			if bench.name == "two terms" {
				b.ReportMetric(5000, "calico-ns/op") // on a machine of this kind
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	ls := NewLabels(map[string]string{
		"app": "web", "env": "prod", "role": "frontend", "pod-template-hash": "5d4f8",
		NamespaceLabel: "shop", "projectcalico.org/orchestrator": "k8s",
		"pcns.projectcalico.org/name": "shop", "pcns.kubernetes.io/metadata.name": "shop",
	})
	for _, text := range []string{
		`app == 'web'`,
		`app == 'web' && has(role)`,
		`role in {'a','b','c','d','e','f','g','h','i','frontend'} && env != 'test' && !has(x)`,
	} {
		s := MustParse(text)
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !s.Match(ls) {
					b.Fatal("no match")
				}
			}
		})
	}
}

func BenchmarkRequirements(b *testing.B) {
	s := MustParse(`app == 'web' && has(role)`)
	b.ReportAllocs()
	for b.Loop() {
		s.Requirements()
	}
}

func BenchmarkConstruct(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		And(Equals("app", "web"), Has("role"))
	}
}

func BenchmarkLabelsGet(b *testing.B) {
	m := map[string]string{}
	for i := range 16 {
		m[fmt.Sprintf("key-%02d", i)] = "v"
	}
	ls := NewLabels(m)
	b.ReportAllocs()
	for b.Loop() {
		ls.Get("key-11")
	}
}
