package fhir_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// element is one element of R4's definitions: its type, how often it stands, and
// the codes it may have where the binding is required.
type element struct {
	kind     string
	min, max int // max 0: any number, an array in JSON
	codes    []string
}

// r4 are the elements of http://hl7.org/fhir/R4 for what we write, all of them,
// so that one we invent is found out. Elements of every type (id, extension) are
// added below.
var r4 = map[string]map[string]element{
	"Consent": {
		"resourceType": {"code", 1, 1, []string{"Consent"}}, "meta": {kind: "Meta", max: 1}, "implicitRules": {kind: "uri", max: 1},
		"language": {kind: "code", max: 1}, "text": {kind: "Narrative", max: 1}, "contained": {kind: "Resource"},
		"identifier": {kind: "Identifier"},
		"status":     {"code", 1, 1, []string{"draft", "proposed", "active", "rejected", "inactive", "entered-in-error"}},
		"scope":      {kind: "CodeableConcept", min: 1, max: 1}, "category": {kind: "CodeableConcept", min: 1},
		"patient": {kind: "Reference(Patient)", max: 1}, "dateTime": {kind: "dateTime", max: 1},
		"performer":        {kind: "Reference(Organization|Patient|Practitioner|RelatedPerson|PractitionerRole)"},
		"organization":     {kind: "Reference(Organization)"},
		"sourceAttachment": {kind: "Attachment", max: 1}, "sourceReference": {kind: "Reference(Consent)", max: 1},
		"policy": {kind: "Consent.policy"}, "policyRule": {kind: "CodeableConcept", max: 1},
		"verification": {kind: "Consent.verification"}, "provision": {kind: "Consent.provision", max: 1},
	},
	"Consent.policy": {"authority": {kind: "uri", max: 1}, "uri": {kind: "uri", max: 1}},
	"Consent.verification": {
		"verified":         {kind: "boolean", min: 1, max: 1},
		"verifiedWith":     {kind: "Reference(Patient|RelatedPerson)", max: 1},
		"verificationDate": {kind: "dateTime", max: 1},
	},
	"Consent.provision": {
		"type": {"code", 0, 1, []string{"deny", "permit"}}, "period": {kind: "Period", max: 1},
		"actor": {kind: "Consent.provision.actor"}, "action": {kind: "CodeableConcept"}, "securityLabel": {kind: "Coding"},
		"purpose": {kind: "Coding"}, "class": {kind: "Coding"}, "code": {kind: "CodeableConcept"},
		"dataPeriod": {kind: "Period", max: 1}, "data": {kind: "Consent.provision.data"}, "provision": {kind: "Consent.provision"},
	},
	"Consent.provision.actor": {
		"role": {kind: "CodeableConcept", min: 1, max: 1}, "reference": {kind: "Reference", min: 1, max: 1},
	},
	"Consent.provision.data": {
		"meaning":   {"code", 1, 1, []string{"instance", "related", "dependents", "authoredby"}},
		"reference": {kind: "Reference", min: 1, max: 1},
	},
	"Bundle": {
		"resourceType": {"code", 1, 1, []string{"Bundle"}}, "meta": {kind: "Meta", max: 1}, "identifier": {kind: "Identifier", max: 1},
		"type":      {"code", 1, 1, []string{"searchset"}},
		"timestamp": {kind: "dateTime", max: 1}, "total": {kind: "unsignedInt", max: 1}, "link": {kind: "Bundle.link"},
		"entry": {kind: "Bundle.entry"},
	},
	"Bundle.link": {"relation": {kind: "string", min: 1, max: 1}, "url": {kind: "uri", min: 1, max: 1}},
	"Bundle.entry": {
		"fullUrl": {kind: "uri", max: 1}, "resource": {kind: "Consent", max: 1}, "search": {kind: "Bundle.entry.search", max: 1},
	},
	"Bundle.entry.search": {"mode": {"code", 0, 1, []string{"match", "include", "outcome"}}, "score": {kind: "decimal", max: 1}},
	"Meta":                {"versionId": {kind: "id", max: 1}, "lastUpdated": {kind: "instant", max: 1}, "profile": {kind: "uri"}},
	"Identifier": {
		"use": {"code", 0, 1, []string{"usual", "official", "temp", "secondary", "old"}}, "type": {kind: "CodeableConcept", max: 1},
		"system": {kind: "uri", max: 1}, "value": {kind: "string", max: 1}, "period": {kind: "Period", max: 1},
	},
	"CodeableConcept": {"coding": {kind: "Coding"}, "text": {kind: "string", max: 1}},
	"Coding": {
		"system": {kind: "uri", max: 1}, "version": {kind: "string", max: 1}, "code": {kind: "code", max: 1},
		"display": {kind: "string", max: 1}, "userSelected": {kind: "boolean", max: 1},
	},
	"Period": {"start": {kind: "dateTime", max: 1}, "end": {kind: "dateTime", max: 1}},
	"Reference": {
		"reference": {kind: "string", max: 1}, "type": {kind: "uri", max: 1}, "identifier": {kind: "Identifier", max: 1},
		"display": {kind: "string", max: 1},
	},
	"Attachment": {
		"contentType": {kind: "code", max: 1}, "language": {kind: "code", max: 1}, "data": {kind: "base64Binary", max: 1},
		"url": {kind: "uri", max: 1}, "size": {kind: "unsignedInt", max: 1}, "hash": {kind: "base64Binary", max: 1},
		"title": {kind: "string", max: 1}, "creation": {kind: "dateTime", max: 1},
	},
	"Extension": {
		"url": {kind: "uri", min: 1, max: 1}, "valueString": {kind: "string", max: 1}, "valueCode": {kind: "code", max: 1},
		"valueInteger": {kind: "integer", max: 1},
	},
}

// The lexical forms of http://hl7.org/fhir/R4/datatypes.html
var primitives = map[string]*regexp.Regexp{
	"id":     regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`),
	"code":   regexp.MustCompile(`^[^\s]+(\s[^\s]+)*$`),
	"uri":    regexp.MustCompile(`^\S+$`),
	"string": regexp.MustCompile(`^(?s).*\S.*$`),
	"dateTime": regexp.MustCompile(`^([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])` +
		`(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?$`),
	"instant": regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.[0-9]+)?(Z|[+-]\d\d:\d\d)$`),
}

// check holds JSON against the definition of its type.
func check(t *testing.T, at, kind string, v any) {
	t.Helper()
	base, targets, _ := strings.Cut(strings.TrimSuffix(kind, ")"), "(")
	elements, complex := r4[base]
	if !complex {
		checkPrimitive(t, at, base, v)
		return
	}
	object, ok := v.(map[string]any)
	if !ok || len(object) == 0 {
		t.Errorf("%s is %v, not a %s", at, v, base)
		return
	}
	for name, e := range elements {
		if _, there := object[name]; e.min > 0 && !there {
			t.Errorf("%s.%s is missing", at, name)
		}
	}
	for name, v := range object {
		e, known := elements[name]
		switch {
		case !known && name == "extension":
			e = element{kind: "Extension"}
		case !known && name == "id":
			e = element{kind: "id", max: 1}
		case !known:
			t.Errorf("%s.%s: %s has no such element", at, name, base)
			continue
		}
		checkElement(t, at+"."+name, e, v)
	}
	if targets != "" && !slices.Contains(strings.Split(targets, "|"), fmt.Sprint(object["type"])) {
		t.Errorf("%s refers to a %v, may to %s", at, object["type"], targets)
	}
	if base == "Extension" { // ext-1: either extensions or a value
		if _, nested := object["extension"]; len(object) != 2 || object["url"] == nil || nested && object["valueString"] != nil {
			t.Errorf("%s is %v", at, object)
		}
	}
}

func checkElement(t *testing.T, at string, e element, v any) {
	t.Helper()
	list, isList := v.([]any)
	if isList != (e.max == 0) {
		t.Errorf("%s: an array where there is one, or the reverse", at)
		return
	}
	if !isList {
		list = []any{v}
	}
	if len(list) == 0 {
		t.Errorf("%s is an empty array", at)
	}
	for _, v := range list {
		check(t, at, e.kind, v)
		if s, _ := v.(string); e.codes != nil && !slices.Contains(e.codes, s) {
			t.Errorf("%s is %v, none of %v", at, v, e.codes)
		}
	}
}

func checkPrimitive(t *testing.T, at, kind string, v any) {
	t.Helper()
	switch kind {
	case "boolean":
		if _, ok := v.(bool); !ok {
			t.Errorf("%s is %v, no boolean", at, v)
		}
		return
	case "integer", "unsignedInt":
		if n, ok := v.(float64); !ok || n != float64(int32(n)) || kind == "unsignedInt" && n < 0 {
			t.Errorf("%s is %v, no %s", at, v, kind)
		}
		return
	}
	s, ok := v.(string)
	if !ok || s == "" {
		t.Errorf("%s is %v, no %s", at, v, kind)
		return
	}
	if kind == "base64Binary" {
		if _, err := base64.StdEncoding.DecodeString(s); err != nil {
			t.Errorf("%s is no base64", at)
		}
		return
	}
	if form := primitives[kind]; form == nil || !form.MatchString(s) {
		t.Errorf("%s is %q, no %s", at, s, kind)
	}
	if kind == "dateTime" || kind == "instant" {
		if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}
