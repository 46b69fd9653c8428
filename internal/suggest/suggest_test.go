package suggest_test

import (
	"testing"

	"github.com/tierwall/tierwall/internal/suggest"
)

func TestNearest(t *testing.T) {
	for _, tt := range []struct {
		word  string
		known []string
		want  string
	}{
		{"selectr", []string{"serviceAccountSelector", "selector"}, "selector"},
		{"slector", []string{"selector"}, "selector"},
		{"tcp", []string{"UDP", "TCP"}, "TCP"},
		{"TPC", []string{"UDP", "TCP"}, "TCP"}, // two letters swapped are one slip
		{"order", []string{"ordered", "orders"}, "orders"},
		{"Egres", []string{"Ingress", "Egress"}, "Egress"},
		{"to", []string{"tcp"}, ""}, // too short to tell
		{"something", []string{"selector"}, ""},
		{"", []string{"a"}, ""},
		{"word", nil, ""},
	} {
		if got := suggest.Nearest(tt.word, tt.known); got != tt.want {
			t.Errorf("Nearest(%q, %q) = %q, want %q", tt.word, tt.known, got, tt.want)
		}
	}
	if got, want := suggest.DidYouMean("tirr", []string{"tier"}), `; did you mean "tier"?`; got != want {
		t.Errorf("DidYouMean = %q, want %q", got, want)
	}
	if got := suggest.DidYouMean("x", []string{"tier"}); got != "" {
		t.Errorf("DidYouMean = %q, want nothing", got)
	}
}

func TestSeveral(t *testing.T) {
	known := []string{"web/front-1", "web/front-2", "web/front-3", "web/front-4", "data/db"}
	for _, tt := range []struct{ word, want string }{
		{"web/front", `; did you mean "web/front-1", "web/front-2" or "web/front-3"?`},
		{"web", `; did you mean "web/front-1", "web/front-2" or "web/front-3"?`}, // they begin so
		{"data/bd", `; did you mean "data/db"?`},
		{"we", ""},
		{"other", ""},
	} {
		if got := suggest.Several(tt.word, known); got != tt.want {
			t.Errorf("Several(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
	if got, want := suggest.Offer([]string{"a", "b"}), `; did you mean "a" or "b"?`; got != want {
		t.Errorf("Offer = %q, want %q", got, want)
	}
	if got, want := suggest.OrList([]string{"a", "b", "c"}), "a, b or c"; got != want {
		t.Errorf("OrList = %q, want %q", got, want)
	}
}
