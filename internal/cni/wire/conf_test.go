package wire

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseConf(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Conf
		err        string
	}{
		{
			name: "defaults, and fields of CNI and others",
			text: `{"type":"tierwall","name":"n","cniVersion":"1.0.0","prevResult":{},"runtimeConfig":{"portMappings":[]},"cni.dev/valid-attachments":[],"somebody's":1}`,
			want: Conf{Type: "tierwall", Socket: DefaultSocket, Timeout: "20s", FailurePolicy: "closed"},
		},
		{
			name: "all",
			text: `{"type":"tierwall","socket":"/run/x.sock","timeout":"1m30s","failurePolicy":"open","exemptNamespaces":["a","b"]}`,
			want: Conf{Type: "tierwall", Socket: "/run/x.sock", Timeout: "1m30s", FailurePolicy: "open", ExemptNamespaces: []string{"a", "b"}},
		},
		{name: "misspelled", text: `{"failurPolicy":"open"}`, err: `"failurPolicy" is no field of the plugin tierwall; did you mean "failurePolicy"?`},
		{name: "policy", text: `{"failurePolicy":"Open"}`, err: `failurePolicy "Open": expected "closed" or "open"`},
		{name: "timeout", text: `{"timeout":"2h"}`, err: `timeout "2h": expected 1s to 1m50s, as in "20s"`},
		{name: "timeout, a number", text: `{"timeout":20}`, err: `json: cannot unmarshal number into Go struct field Conf.timeout of type string`},
		{name: "timeout without unit", text: `{"timeout":"20"}`, err: `timeout "20": expected 1s to 1m50s, as in "20s"`},
		{name: "socket", text: `{"socket":"cni.sock"}`, err: `socket "cni.sock": expected an absolute path of at most 107 characters`},
		{name: "namespace", text: `{"exemptNamespaces":["a",""]}`, err: `exemptNamespaces[1] "": expected the name of a namespace`},
		{name: "array", text: `[]`, err: `json: cannot unmarshal array into Go value of type wire.Conf`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseConf([]byte(tt.text))
			if fmt.Sprint(err) != tt.err && (err != nil || tt.err != "") {
				t.Fatalf("error %v, want %s", err, tt.err)
			}
			if err == nil {
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
	if d := (Conf{Timeout: "1m"}).Wait(); d != time.Minute {
		t.Errorf("Wait gives %s", d)
	}
}

// FuzzParseConf holds that a configuration that is taken is within its bounds.
func FuzzParseConf(f *testing.F) {
	f.Add([]byte(`{"type":"tierwall","socket":"/run/x.sock","timeout":"1m30s","failurePolicy":"open","exemptNamespaces":["a","b"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConf(b)
		if err == nil && (c.Check() != nil || c.Wait() < minTimeout || c.Wait() > maxTimeout) {
			t.Fatalf("%+v", c)
		}
	})
}
