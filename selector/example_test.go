package selector_test

import (
	"errors"
	"fmt"

	"github.com/tierwall/tierwall/selector"
)

func Example() {
	s, err := selector.Parse(`role in {"frontend", "backend"} && !has(quarantine)`)
	if err != nil {
		fmt.Println(err)
		return
	}
	web := selector.NewLabels(map[string]string{"role": "frontend", "tier": "web"})
	fmt.Println(s)
	fmt.Println(s.Match(web))
	// Output:
	// role in {'backend', 'frontend'} && !has(quarantine)
	// true
}

func ExampleParse_error() {
	_, err := selector.Parse("role = 'db'")
	var syntax *selector.SyntaxError
	if errors.As(err, &syntax) {
		fmt.Println("column", syntax.Column)
		fmt.Println("found", syntax.Found)
	}
	// Output:
	// column 6
	// found "="
}

// Kubernetes selectors are built, not parsed.
func ExampleAnd() {
	s := selector.And(
		selector.Equals("app", "db"),
		selector.NotIn("env", "test", "dev"),
		selector.Has("owner"),
	)
	fmt.Println(s)
	// Output: app == 'db' && env not in {'dev', 'test'} && has(owner)
}

// A selector of namespaces becomes one of the labels that endpoints have of
// their namespace.
func ExampleSelector_Rewrite() {
	s := selector.MustParse("all() && env != 'prod'")
	fmt.Println(s.Rewrite(selector.Rewrite{
		Key: func(key string) string { return "pcns." + key },
		All: selector.Has(selector.NamespaceLabel),
	}))
	// Output: has(projectcalico.org/namespace) && pcns.env != 'prod'
}

// An index looks up by requirements what a selector could match.
func ExampleSelector_Requirements() {
	s := selector.MustParse("has(owner) && (app == 'db' || app == 'cache') && env != 'prod'")
	for _, r := range s.Requirements() {
		fmt.Println(r.Key, r.Values)
	}
	// Output:
	// app [cache db]
	// owner []
}
