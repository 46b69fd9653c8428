package httpdocs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	mesh "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	"sigs.k8s.io/yaml"
)

// Object is an object of Istio in Kubernetes.
type Object struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Metadata   Metadata      `json:"metadata"`
	Spec       proto.Message `json:"-"`
}

// Metadata is what a page may say of an object of Kubernetes.
type Metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Annotations map[string]string `json:"annotations"`
}

// kinds are the objects that a page may have, with their current versions.
var kinds = map[string]func() proto.Message{
	"networking.istio.io/v1 ServiceEntry":        func() proto.Message { return &networking.ServiceEntry{} },
	"networking.istio.io/v1 Sidecar":             func() proto.Message { return &networking.Sidecar{} },
	"security.istio.io/v1 AuthorizationPolicy":   func() proto.Message { return &security.AuthorizationPolicy{} },
	"security.istio.io/v1 PeerAuthentication":    func() proto.Message { return &security.PeerAuthentication{} },
	"networking.istio.io/v1 DestinationRule":     func() proto.Message { return &networking.DestinationRule{} },
	"security.istio.io/v1 RequestAuthentication": func() proto.Message { return &security.RequestAuthentication{} },
}

// Envoy reads the configuration that Envoy starts with, as Envoy does: unknown
// fields, unknown types and values out of their ranges are errors.
func Envoy(text string) (*bootstrapv3.Bootstrap, error) {
	b := &bootstrapv3.Bootstrap{}
	if err := decode(text, b); err != nil {
		return nil, err
	}
	return b, validateAll(b)
}

// MeshConfig reads a part of the mesh configuration of Istio.
func MeshConfig(text string) (*mesh.MeshConfig, error) {
	m := &mesh.MeshConfig{}
	return m, decode(text, m)
}

// Objects reads objects of Istio, separated as YAML has it.
func Objects(text string) ([]Object, error) {
	var out []Object
	for _, doc := range strings.Split("\n"+text, "\n---\n") {
		o, err := object(doc)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func object(text string) (Object, error) {
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return Object{}, err
	}
	var envelope struct {
		Object
		Spec json.RawMessage `json:"spec"`
	}
	if err := strictJSON(raw, &envelope); err != nil {
		return Object{}, err
	}
	o := envelope.Object
	create, known := kinds[o.APIVersion+" "+o.Kind]
	if !known {
		return o, fmt.Errorf("%s of %s is no object that is expected here", o.Kind, o.APIVersion)
	}
	o.Spec = create()
	if err := protojson.Unmarshal(envelope.Spec, o.Spec); err != nil {
		return o, fmt.Errorf("%s %s: spec: %w", o.Kind, o.Metadata.Name, err)
	}
	return o, nil
}

func strictJSON(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Annotations reads the metadata of a pod.
func Annotations(text string) (map[string]string, error) {
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, err
	}
	var pod struct {
		Metadata Metadata `json:"metadata"`
	}
	err = strictJSON(raw, &pod)
	return pod.Metadata.Annotations, err
}

// decode reads YAML into a message. Types in google.protobuf.Any are those that
// this binary links: see validate.go.
func decode(text string, into proto.Message) error {
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return err
	}
	return protojson.Unmarshal(raw, into)
}
