package etcd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/tierwall/tierwall/internal/store"
)

// Encode returns the value to write for an object that replaces another; old is
// nil if there is none that could be read. What a user does not write is as an
// API server would have it: metadata.uid, creationTimestamp and generation, which
// counts the versions of the spec; status, which is for others to write. Only the
// status of a Pod or Node is the user's: it holds the addresses.
//
// changed says whether the value says anything else than the old one does.
func Encode(r, old *store.Resource, now time.Time) (value []byte, changed bool, err error) {
	info, ok := storedKind(r.Key.Kind)
	if !ok {
		return nil, false, fmt.Errorf("%s: is no kind that can be stored", store.ObjectName(r.Key))
	}
	fields, err := fieldsOf(r, info.APIVersion(), info.Name)
	if err != nil {
		return nil, false, err
	}
	if info.Group != "" {
		delete(fields, "status")
	}
	meta := map[string]any{"uid": string(uuid.NewUUID()), "creationTimestamp": now.UTC().Format(time.RFC3339), "generation": json.Number("1")}
	var before map[string]any
	if old != nil {
		if before, err = fieldsOf(old, info.APIVersion(), info.Name); err != nil {
			return nil, false, err
		}
		if status, found := before["status"]; found && info.Group != "" {
			fields["status"] = status
		}
		keep(meta, old.Object.(metav1.Object))
		if !reflect.DeepEqual(wanted(fields), wanted(before)) {
			meta["generation"] = json.Number(fmt.Sprint(old.Object.(metav1.Object).GetGeneration() + 1))
		}
	}
	metadata, ok := fields["metadata"].(map[string]any)
	if !ok {
		return nil, false, fmt.Errorf("%s: metadata is missing", store.ObjectName(r.Key))
	}
	for _, served := range []string{"resourceVersion", "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"} {
		delete(metadata, served)
	}
	for name, v := range meta {
		metadata[name] = v
	}
	if before != nil {
		delete(before["metadata"].(map[string]any), "resourceVersion")
	}
	value, err = json.Marshal(fields)
	return value, !reflect.DeepEqual(fields, before), err
}

// keep takes over what an object has for life.
func keep(meta map[string]any, old metav1.Object) {
	if old.GetUID() != types.UID("") {
		meta["uid"] = string(old.GetUID())
	}
	if t := old.GetCreationTimestamp(); !t.IsZero() {
		meta["creationTimestamp"] = t.UTC().Format(time.RFC3339)
	}
	if g := old.GetGeneration(); g > 0 {
		meta["generation"] = json.Number(fmt.Sprint(g))
	}
}

// fieldsOf returns an object as JSON has it.
func fieldsOf(r *store.Resource, apiVersion, kind string) (map[string]any, error) {
	text, err := json.Marshal(r.Object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.ObjectName(r.Key), err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		return nil, fmt.Errorf("%s: %w", store.ObjectName(r.Key), err)
	}
	fields["apiVersion"], fields["kind"] = apiVersion, kind
	return fields, nil
}

// wanted returns the fields that a new generation is counted for.
func wanted(fields map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range fields {
		if name != "metadata" && name != "status" {
			out[name] = v
		}
	}
	return out
}
