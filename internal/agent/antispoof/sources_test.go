package antispoof

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

func TestParseSources(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "[]",
		"[]":                                  "[]",
		`["192.0.2.0/24", "2001:db8::1/128"]`: "[192.0.2.0/24 2001:db8::1/128]",
		`["192.0.2.1/24"]`:                    "has bits beyond its length; 192.0.2.0/24 would be right",
		`["192.0.2.1"]`:                       "expected a range such as",
		`["192.0.2.0/24", "x"]`:               "expected a range such as",
		`["::ffff:192.0.2.0/120"]`:            "expected a range such as",
		`192.0.2.0/24`:                        "expected a JSON list",
		`[` + strings.Repeat(`"192.0.2.0/24",`, 64) + `"192.0.2.0/24"]`: "65 ranges: expected at most 64",
	} {
		got, err := parseSources(text)
		switch {
		case strings.HasPrefix(want, "["):
			if err != nil || strings.Join(texts(got), " ") != strings.Trim(want, "[]") {
				t.Errorf("%s: %v, %v", text, got, err)
			}
		case err == nil || got != nil || !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, %v, want %q", text, got, err, want)
		}
	}
}

func texts(list []netip.Prefix) (out []string) {
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

// TestPodSources follows pods of this node: what a typo makes unreadable gives nothing.
func TestPodSources(t *testing.T) {
	env := component.Env{Node: "here", Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	key := policy.Key{Kind: policy.KindPod, Namespace: "shop", Name: "vip"}
	pod := func(node, text string) *store.Batch {
		return &store.Batch{Updated: []store.Resource{{Key: key, Object: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "vip", Annotations: map[string]string{store.AllowedSourcesAnnotation: text}}, Spec: corev1.PodSpec{NodeName: node},
		}}}}
	}
	var s podSources
	for i, x := range []struct {
		batch  *store.Batch
		news   bool
		ranges int
	}{
		{pod("there", `["192.0.2.0/24"]`), false, 0},
		{pod("here", `["192.0.2.0/24"]`), true, 1},
		{pod("here", `["192.0.2.0/24"]`), false, 1},
		{pod("here", `["192.0.2.0/24`), true, 0},
		{pod("here", `["192.0.2.0/24", "2001:db8::/32"]`), true, 2},
		{&store.Batch{Deleted: []policy.Key{key}}, true, 0},
		{&store.Batch{Deleted: []policy.Key{key}}, false, 0},
	} {
		if news := s.take(x.batch, env); news != x.news || len(s[key]) != x.ranges {
			t.Errorf("batch %d: news %v, %v", i, news, s[key])
		}
	}
}
