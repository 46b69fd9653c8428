package main

import (
	"encoding/json"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-tools/pkg/crd"
	crdmarkers "sigs.k8s.io/controller-tools/pkg/crd/markers"
	"sigs.k8s.io/controller-tools/pkg/markers"
)

// schemaMarker says with JSON what controller-gen has no marker for. What is
// given replaces that part of the schema of the type or field:
//
//	// +tierwall:schema=`{"anyOf":[{"format":"ipv4"},{"format":"ipv6"}]}`
type schemaMarker string

var _ crd.SchemaMarker = schemaMarker("")

const schemaMarkerName = "tierwall:schema"

func registerSchema(into *markers.Registry) error {
	for _, target := range []markers.TargetType{markers.DescribesType, markers.DescribesField} {
		def, err := markers.MakeDefinition(schemaMarkerName, target, schemaMarker(""))
		if err != nil {
			return err
		}
		if err := into.Register(def); err != nil {
			return err
		}
	}
	return nil
}

// ApplyToSchema is called by controller-gen for each marker.
func (m schemaMarker) ApplyToSchema(_ *crdmarkers.SchemaContext, schema *apiextensionsv1.JSONSchemaProps) error {
	if err := json.Unmarshal([]byte(m), schema); err != nil {
		return fmt.Errorf("+%s: %w", schemaMarkerName, err)
	}
	return nil
}
