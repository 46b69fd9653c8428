package modeltest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/selector"
)

// drawSelector draws selectors over the vocabulary, with every operator.
// global() is not among them: translation puts another selector in its place.
func drawSelector(t *rapid.T) *selector.Selector {
	return selector.MustParse(selectorText(t, 2))
}

// selectorText draws the text of a selector whose operators nest at most depth deep.
func selectorText(t *rapid.T, depth int) string {
	if depth > 0 {
		switch below(t, 10, "form") {
		case 7:
			return "!(" + selectorText(t, depth-1) + ")"
		case 8:
			return "(" + selectorText(t, depth-1) + " || " + selectorText(t, depth-1) + ")"
		case 9:
			return selectorText(t, depth-1) + " && " + selectorText(t, depth-1)
		}
	}
	key, value := labelText(t)
	switch below(t, 11, "operator") {
	case 0:
		return "all()"
	case 1, 2, 3:
		return fmt.Sprintf("%s == '%s'", key, value)
	case 4:
		return fmt.Sprintf("%s != '%s'", key, value)
	case 5:
		return fmt.Sprintf("%s in {%s}", key, valueList(t))
	case 6:
		return fmt.Sprintf("%s not in {%s}", key, valueList(t))
	case 7:
		return fmt.Sprintf("has(%s)", key)
	case 8:
		return fmt.Sprintf("%s contains '%s'", key, one(t, []string{"a", "b", "e", ""}, "part"))
	case 9:
		return fmt.Sprintf("%s starts with '%s'", key, one(t, []string{"a", "b", "g"}, "part"))
	}
	return fmt.Sprintf("%s ends with '%s'", key, one(t, []string{"a", "b", "n"}, "part"))
}

func labelText(t *rapid.T) (key, value string) {
	switch below(t, 10, "whose label") {
	case 8:
		return namespaceKey, one(t, namespaces, "namespace")
	case 9:
		return one(t, nsKeys, "key"), one(t, values, "value")
	}
	return one(t, ownKeys, "key"), one(t, values, "value")
}

func valueList(t *rapid.T) string {
	quoted := some(t, 0, 3, "values", func() string { return "'" + one(t, values, "value") + "'" })
	return strings.Join(quoted, ",")
}
