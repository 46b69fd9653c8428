package validate

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// netFields are the fields that hold CIDRs, in all APIs of policies and sets.
var netFields = map[string]bool{"nets": true, "notNets": true, "networks": true, "cidr": true, "except": true}

// hostBits tells of CIDRs with bits behind the prefix. They mean the net that they are in;
// Calico refuses them, which is an error if the manifests are to be valid for it.
func hostBits(in *input.Input, forCalico bool) []store.Finding {
	var out []store.Finding
	for i := range in.Resources {
		r := &in.Resources[i]
		info, _ := policy.LookupKind(r.Key.Kind)
		if info.Role != policy.RolePolicy && info.Role != policy.RoleSet && info.Role != policy.RoleProfile {
			continue
		}
		ofCalico := info.Group == v3.GroupName
		eachNet(reflect.ValueOf(r.Object), "", "", func(field, text string) {
			p, err := netip.ParsePrefix(text)
			if err != nil || p == p.Masked() {
				return
			}
			f := r.At(field, "%q has bits behind its prefix: it means %s", text, p.Masked())
			if ofCalico {
				f.Message += "; Calico refuses it: write it so"
			}
			f.Note = !forCalico || !ofCalico
			out = append(out, f)
		})
	}
	return out
}

// eachNet calls yield with each CIDR that a value holds, and its field. name is that of
// the innermost field that the value is in.
func eachNet(v reflect.Value, field, name string, yield func(field, text string)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			eachNet(v.Elem(), field, name, yield)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() {
				continue
			}
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			inside := strings.TrimPrefix(field+"."+tag, ".")
			if tag == "" {
				inside, tag = field, name // embedded
			}
			eachNet(v.Field(i), inside, tag, yield)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachNet(v.Index(i), fmt.Sprintf("%s[%d]", field, i), name, yield)
		}
	case reflect.String:
		if netFields[name] {
			yield(field, v.String())
		}
	}
}
