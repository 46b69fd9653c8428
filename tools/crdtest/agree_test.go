package crdtest_test

import (
	"context"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/tools/crdtest"
)

// The definitions and package translate judge the same objects. What must hold:
//
//   - What a definition refuses, translate refuses as well: nothing that could be
//     in force is kept out of a cluster.
//   - What a definition accepts and translate refuses is of the kinds listed
//     here. The controller says it in the object's status and in an Event.

// rest is what only translate refuses: a finding's field and message.
var rest = []struct{ what, field, message string }{
	{what: "selectors are not parsed", field: `[sS]elector$`},
	{what: "other objects are not looked at", field: `^spec\.tier$`, message: `does not exist`},
	{what: "ports are not compared", field: `[pP]orts\[\d+\]$`, message: `ends before it begins`},
	{what: "names of interfaces", field: `^spec\.interfaceName$`},
	{what: "features to come", field: ``, message: `is not supported yet by this version`},
	{what: "fields are not compared", field: `destination\.\w+$`, message: `cannot stand beside domains`},
	{what: "fields are not compared", field: `(source|destination)\.\w+$`, message: `cannot stand beside services`},
	{what: "fields are not compared", field: `\.services$`, message: `the rule's protocol is`},
	{what: "fields are not compared", field: `\.http$`, message: `which notProtocol excludes`},
	{what: "the direction is not known to a rule", field: `\.services$`, message: `services are for the`},
	{what: "the scope is not known to a rule", field: `\.services$`, message: `needs a namespace`},
	{what: "hints are not compared", field: `performanceHints\[\d+\]$`, message: `is given twice`},
	{what: "fields are not compared", field: `^spec\.\w+$`, message: `has no effect beside stagedAction: Delete`},
	{what: "dots are not counted", field: `^metadata\.name$`, message: `has more than one dot`},
	{what: "other objects are not looked at", field: `^spec\.profiles$`},
	{what: "labels that a profile gives", field: `^spec\.labelsToApply\.`},
	{what: "names of profiles", field: `^spec\.profiles\[\d+\]$`},
	{what: "keys of annotations", field: `annotations\.`, message: `is no valid key of an annotation`},
	{what: "methods are not compared", field: `methods\[\d+\]$`, message: `is given twice|told apart by case`},
	{what: "paths are not parsed", field: `paths\[\d+\]\.(exact|prefix)$`, message: `has more than a path|in several ways|malformed`},
	{what: "addresses look like names", field: `omains\[\d+\]$`, message: `is an address, no name`},
	{what: "labels are not seen by the rules of a definition", field: `^metadata\.labels\.projectcalico\.org/namespace$`},
	{what: "format cidr is lenient", field: `(nets|Nets)\[\d+\]$`, message: `is no CIDR|written as IPv6`},
	{what: "the namespace of a set or policy is checked by the API server itself", field: `^metadata\.namespace$`},
}

// kubernetesRest is what only translate refuses in the parts of networking.k8s.io.
var kubernetesRest = []struct{ what, field, message string }{
	{what: "label keys and values", field: `matchLabels|matchExpressions`},
	{what: "blocks are not compared", field: `\.except\[\d+\]$`, message: `is no part of|is no CIDR|written as IPv6`},
	{what: "format cidr is lenient", field: `\.cidr$`, message: `is no CIDR|written as IPv6`},
	{what: "ports are not compared", field: `\.endPort$`, message: `ends before it begins|needs a numeric port`},
	{what: "names of ports", field: `\.port$`, message: `is a number in quotes|a letter among them`},
}

// isRest reports whether a finding is of those that only translate has.
func isRest(f store.Finding) bool {
	all := rest
	if f.Key.Kind == "StagedKubernetesNetworkPolicy" {
		all = append(all[:len(all):len(all)], kubernetesRest...)
	}
	if f.Key.Kind == "ClusterNetworkPolicy" {
		all = append(all[:len(all):len(all)], clusterRest...)
	}
	for _, r := range all {
		if regexp.MustCompile(r.field).MatchString(f.Field) && regexp.MustCompile(r.message).MatchString(f.Message) {
			return true
		}
	}
	return false
}

// judgement is what the two say of an object.
type judgement struct {
	definition string          // empty: accepts
	translate  []store.Finding // none: accepts
}

// reporter is a test of package testing or of rapid.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// judge asks both about one YAML document.
func judge(tb reporter, kinds map[string]*crdtest.Kind, text string) judgement {
	tb.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(asJSON, &object); err != nil { // integers stay integers, as in an API server
		tb.Fatal(err)
	}
	kind := kinds[object["kind"].(string)]
	if meta := object["metadata"].(map[string]any); kind.Namespaced() && meta["namespace"] == nil {
		meta["namespace"] = "default"
	}
	var j judgement
	if errs, _ := kind.Validate(context.Background(), object); len(errs) > 0 {
		j.definition = errs.ToAggregate().Error()
	}
	read := files.LoadAll([]string{"-"}, files.Options{Stdin: strings.NewReader(text)})
	loaded := translate.Load(read.Resources, read.Rejected, translate.Options{Offline: true})
	for _, f := range append(read.Findings, loaded.Findings...) {
		if !f.Note {
			j.translate = append(j.translate, f)
		}
	}
	return j
}

// check reports what must not be.
func (j judgement) check(tb reporter, text string) {
	tb.Helper()
	if j.definition != "" && len(j.translate) == 0 {
		tb.Errorf("only the definition refuses\n%s\n%s", text, j.definition)
	}
	if j.definition != "" {
		return
	}
	for _, f := range j.translate {
		if !isRest(f) {
			tb.Errorf("the definition accepts, but translate says: %v\n%s", f, text)
		}
	}
}
