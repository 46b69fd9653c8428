// Package crdtest asks the API server's own code what it makes of the generated
// CustomResourceDefinitions, without an API server. Its tests hold the
// definitions against package translate.
package crdtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	apivalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Kind is one kind as an API server serves it.
type Kind struct {
	definition *apiextensions.CustomResourceDefinition
	props      *apiextensions.JSONSchemaProps
	structural *schema.Structural
	schema     apivalidation.SchemaValidator
	rules      *cel.Validator
}

// Names are what a definition calls its objects, and where they are.
type Names struct {
	Group, Version, Kind, Plural, Singular string
	ShortNames                             []string
	Namespaced                             bool
}

// Names returns what the definition calls its objects.
func (k *Kind) Names() Names {
	spec := &k.definition.Spec
	n := Names{
		Group: spec.Group, Kind: spec.Names.Kind, Plural: spec.Names.Plural, Singular: spec.Names.Singular,
		ShortNames: spec.Names.ShortNames, Namespaced: spec.Scope == apiextensions.NamespaceScoped,
	}
	for _, v := range spec.Versions {
		if v.Storage {
			n.Version = v.Name
		}
	}
	return n
}

// Load reads the definitions in a directory, by kind. A definition that an API
// server would refuse, for one because its rules may cost too much, is an error.
func Load(dir string) (map[string]*Kind, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := apiextensions.AddToScheme(scheme); err != nil {
		return nil, err
	}
	out := map[string]*Kind{}
	for _, file := range files {
		k, err := load(scheme, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out[k.definition.Spec.Names.Kind] = k
	}
	return out, nil
}

func load(scheme *runtime.Scheme, file string) (*Kind, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var read apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &read); err != nil {
		return nil, err
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&read)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&read.Spec)
	read.Status.StoredVersions = []string{read.Spec.Versions[0].Name}
	k := &Kind{definition: &apiextensions.CustomResourceDefinition{}}
	if err := scheme.Convert(&read, k.definition, nil); err != nil {
		return nil, err
	}
	if errs := validation.ValidateCustomResourceDefinition(context.Background(), k.definition); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	// What all versions share is at the top of the internal form.
	if k.definition.Spec.Validation != nil {
		k.props = k.definition.Spec.Validation.OpenAPIV3Schema
	} else {
		k.props = k.definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	if k.structural, err = schema.NewStructural(k.props); err != nil {
		return nil, err
	}
	if k.schema, _, err = apivalidation.NewSchemaValidator(k.props); err != nil {
		return nil, err
	}
	k.rules = cel.NewValidator(k.structural, true, celconfig.PerCallLimit)
	return k, nil
}

// Namespaced reports whether objects of the kind are in namespaces.
func (k *Kind) Namespaced() bool {
	return k.definition.Spec.Scope == apiextensions.NamespaceScoped
}

// Validate says what is wrong with an object that somebody creates with strict
// field validation, and what its rules have cost, of celconfig.RuntimeCELCostBudget.
// The object gets its defaults.
func (k *Kind) Validate(ctx context.Context, object map[string]any) (errs field.ErrorList, cost int64) {
	u := &unstructured.Unstructured{Object: object}
	unknown := pruning.PruneWithOptions(object, k.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	for _, path := range unknown {
		errs = append(errs, field.Invalid(field.NewPath(path), nil, "unknown field"))
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, k.structural)
	defaulting.Default(object, k.structural)
	errs = append(errs, metavalidation.ValidateObjectMetaAccessor(u, k.Namespaced(), metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"))...)
	errs = append(errs, apivalidation.ValidateCustomResource(nil, object, k.schema)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.structural, object)...)
	if len(errs) > 0 {
		return errs, 0 // rules are not asked about what is no object of the schema
	}
	errs, left := k.rules.Validate(ctx, nil, k.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return errs, celconfig.RuntimeCELCostBudget - left
}
