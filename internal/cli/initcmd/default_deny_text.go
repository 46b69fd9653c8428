package initcmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/store/files"
)

// defaultDenyTemplate is what init default-deny writes.
var defaultDenyTemplate = template.Must(template.New("").Funcs(template.FuncMap{"quote": quoteYAML}).Parse(
	`# A default deny: what no policy allows is denied, from and to the pods of
# {{.Where}}.
{{- if .Staged}}
# STAGED: these policies are checked and reported, and nothing is denied. To mean it,
# write them again without --staged, apply them, and delete these.
{{- end}}
#
# Policies of all kinds that allow something go on doing so: the deny is the end of
# the tier, after all its policies have been asked. Write what your pods need as
# NetworkPolicy of Kubernetes or of projectcalico.org/v3.
#
# Always allowed, whatever is written here: a node and the pods on it (so probes of
# the kubelet work), a pod and itself.
{{- if ne .Tier "default"}}
#
# In tier {{.Tier}} this decides before the tiers behind it are asked: policies of
# Kubernetes, in tier default, only count for what a rule of this tier passes on.
{{- end}}
apiVersion: projectcalico.org/v3
kind: {{.Kind}}
metadata:
  name: {{.Name}}
spec:
{{- if .Staged}}
  stagedAction: Set
{{- end}}
  tier: {{.Tier}}
  order: {{.Order}}
  # A namespace that is made later is in it from its first pod on. What must not be
  # denied is excluded here by name.
  namespaceSelector: {{quote .Namespaces}}
  # Both directions, and no rules: no connection is decided here, so that the end of
  # the tier decides it.
  types:
    - Ingress
    - Egress
{{- if .AllowDNS}}
---
# Without names nearly nothing works, so all of them may ask the cluster's DNS, over
# UDP and, for long answers, TCP. That a DNS server passes questions on to servers
# outside is its own namespace's business.
apiVersion: projectcalico.org/v3
kind: {{.Kind}}
metadata:
  name: {{.Name}}-dns
spec:
{{- if .Staged}}
  stagedAction: Set
{{- end}}
  tier: {{.Tier}}
  order: {{.Order}}
  namespaceSelector: {{quote .Namespaces}}
  types:
    - Egress
  egress:
{{- range .Protocols}}
    - action: Allow
      protocol: {{.}}
      destination:
        namespaceSelector: {{quote $.DNSNamespace}}
        selector: {{quote $.DNSSelector}}
        ports:
          - 53
{{- end}}
{{- end}}
`))

// manifests returns what is to be written, and holds it against what validate says.
func (o *defaultDenyOptions) manifests() (string, error) {
	excluded := append(slices.Clone(alwaysExcluded), o.exclude...)
	if o.allowDNS {
		excluded = append(excluded, o.dnsNamespace) // or its servers could not be asked
	}
	slices.Sort(excluded)
	excluded = slices.Compact(excluded)
	namespaces := "kubernetes.io/metadata.name not in { '" + strings.Join(excluded, "', '") + "' }"
	where := "all namespaces, those made later included, but for those of the system"
	if o.namespaceSelector != "" {
		namespaces = "(" + o.namespaceSelector + ") && " + namespaces
		where = "the namespaces that the selector below names, those made later included"
	}
	kind := "GlobalNetworkPolicy"
	if o.staged {
		kind = "StagedGlobalNetworkPolicy"
	}
	name := o.name
	if o.tier != "default" {
		name = o.tier + "." + name
	}
	var b bytes.Buffer
	err := defaultDenyTemplate.Execute(&b, map[string]any{
		"Where": where, "Staged": o.staged, "Kind": kind, "Name": name, "Tier": o.tier, "Order": o.order,
		"Namespaces": namespaces, "AllowDNS": o.allowDNS, "Protocols": []string{"UDP", "TCP"},
		"DNSNamespace": "kubernetes.io/metadata.name == '" + o.dnsNamespace + "'", "DNSSelector": o.dnsSelector,
	})
	if err != nil {
		return "", err
	}
	loaded := files.Parse("default-deny.yaml", b.Bytes(), files.Options{})
	findings := loaded.Findings
	for _, f := range input.Check(loaded.Resources, loaded.Rejected) {
		if f.Field != "spec.tier" { // the tier is in the cluster, or will be
			findings = append(findings, f)
		}
	}
	if input.CountErrors(findings) > 0 {
		return "", input.InvalidError(findings, "nothing was written")
	}
	return b.String(), nil
}

// quoteYAML returns a text in double quotes, if it could be taken for something else.
func quoteYAML(text string) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // && is to be read
	if err := enc.Encode(text); err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
