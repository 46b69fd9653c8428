package crdtest

import (
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Cost is what a rule may cost in the worst object that can be sent, as the API
// server estimates it. It grants a rule validation.StaticEstimatedCostLimit, and
// a definition validation.StaticEstimatedCRDCostLimit.
type Cost struct {
	Path, Rule string
	Cost       uint64
}

// Costs returns the cost of each rule of the kind.
func (k *Kind) Costs() ([]Cost, error) {
	var out []Cost
	err := costs(&out, k.props, "", validation.RootCELContext(k.props))
	return out, err
}

func costs(out *[]Cost, s *apiextensions.JSONSchemaProps, path string, ctx *validation.CELSchemaContext) error {
	if len(s.XValidations) > 0 {
		if err := ruleCosts(out, s, path, ctx); err != nil {
			return err
		}
	}
	for name := range s.Properties {
		p := s.Properties[name]
		if err := costs(out, &p, path+"."+name, ctx.ChildPropertyContext(&p, name)); err != nil {
			return err
		}
	}
	if s.Items != nil && s.Items.Schema != nil {
		return costs(out, s.Items.Schema, path+"[]", ctx.ChildItemsContext(s.Items.Schema))
	}
	return nil
}

func ruleCosts(out *[]Cost, s *apiextensions.JSONSchemaProps, path string, ctx *validation.CELSchemaContext) error {
	info, err := ctx.TypeInfo()
	if err != nil {
		return err
	}
	env := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	compiled, err := cel.Compile(info.Schema, info.DeclType, celconfig.PerCallLimit, env, cel.NewExpressionsEnvLoader())
	if err != nil {
		return err
	}
	for i, c := range compiled {
		if c.Error != nil {
			return fmt.Errorf("%s: %s: %w", path, s.XValidations[i].Rule, c.Error)
		}
		// How often the rule is evaluated: by the bounds of the lists around it, or
		// else by the size of a request.
		times := c.MaxCardinality
		if ctx.MaxCardinality != nil {
			times = *ctx.MaxCardinality
		}
		*out = append(*out, Cost{path, s.XValidations[i].Rule, c.MaxCost * times})
	}
	return nil
}
