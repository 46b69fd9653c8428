package main

import (
	"encoding/json"
	"errors"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-tools/pkg/genall"
	"sigs.k8s.io/yaml"
)

// The types of networking.k8s.io have no markers: an API server checks them with
// code of its own. What can be said of it by a schema is added here to the kinds
// of ours that hold them.
var kubernetes = map[string]string{
	"spec.policyTypes":   `{"maxItems":2}`,
	"spec.policyTypes[]": `{"enum":["Ingress","Egress"]}`,

	"spec.ingress[].from[]":                  peer,
	"spec.egress[].to[]":                     peer,
	"spec.ingress[].from[].ipBlock.cidr":     `{"format":"cidr"}`,
	"spec.ingress[].from[].ipBlock.except[]": `{"format":"cidr"}`,
	"spec.egress[].to[].ipBlock.cidr":        `{"format":"cidr"}`,
	"spec.egress[].to[].ipBlock.except[]":    `{"format":"cidr"}`,

	"spec.podSelector.matchExpressions[].operator":                        operator,
	"spec.ingress[].from[].podSelector.matchExpressions[].operator":       operator,
	"spec.ingress[].from[].namespaceSelector.matchExpressions[].operator": operator,
	"spec.egress[].to[].podSelector.matchExpressions[].operator":          operator,
	"spec.egress[].to[].namespaceSelector.matchExpressions[].operator":    operator,

	"spec.ingress[].ports[]":          port,
	"spec.ingress[].ports[].protocol": `{"enum":["TCP","UDP","SCTP"]}`,
	"spec.ingress[].ports[].port":     portNumber,
	"spec.ingress[].ports[].endPort":  `{"minimum":1,"maximum":65535}`,
	"spec.egress[].ports[]":           port,
	"spec.egress[].ports[].protocol":  `{"enum":["TCP","UDP","SCTP"]}`,
	"spec.egress[].ports[].port":      portNumber,
	"spec.egress[].ports[].endPort":   `{"minimum":1,"maximum":65535}`,
}

const (
	operator   = `{"enum":["In","NotIn","Exists","DoesNotExist"]}`
	portNumber = `{"minimum":1,"maximum":65535,"pattern":"^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$"}`
	peer       = `{"x-kubernetes-validations":[{"rule":"has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))","message":"expected a podSelector, a namespaceSelector, both or an ipBlock"}]}`
	port       = `{"x-kubernetes-validations":[{"rule":"!has(self.endPort) || has(self.port)","message":"endPort needs port, which says where the range begins"}]}`
)

// tightened returns a definition with additions to its schema.
func tightened(definition []byte, additions map[string]string) ([]byte, error) {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(definition, &crd); err != nil {
		return nil, err
	}
	for i := range crd.Spec.Versions {
		for path, addition := range additions {
			if err := amend(crd.Spec.Versions[i].Schema.OpenAPIV3Schema, path, addition); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	written := output{files: map[string]*file{}}
	err := genall.GenerationContext{OutputRule: written}.WriteYAML("it", "", []any{&crd},
		genall.WithTransform(genall.TransformRemoveCreationTimestamp),
		genall.WithTransform(func(o map[string]any) error { delete(o, "status"); return nil }))
	if err != nil {
		return nil, err
	}
	return []byte(written.files["it"].String()), nil
}

// amend adds to the schema at the path, as in "spec.ingress[].ports[]".
func amend(s *apiextensionsv1.JSONSchemaProps, path, addition string) error {
	switch {
	case path == "":
		return json.Unmarshal([]byte(addition), s)
	case len(path) > 1 && path[:2] == "[]":
		if s.Items == nil || s.Items.Schema == nil {
			return errors.New("is no list")
		}
		return amend(s.Items.Schema, path[2:], addition)
	case path[0] == '.':
		return amend(s, path[1:], addition)
	}
	end := 0
	for end < len(path) && path[end] != '.' && path[end] != '[' {
		end++
	}
	field, found := s.Properties[path[:end]]
	if !found {
		return fmt.Errorf("has no field %s", path[:end])
	}
	if err := amend(&field, path[end:], addition); err != nil {
		return err
	}
	s.Properties[path[:end]] = field
	return nil
}
