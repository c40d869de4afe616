// Package fhir shows our records as resources of HL7 FHIR R4 (4.0.1). It reads
// domain values and makes JSON; who is named in a resource is named by
// identifier, for we serve no other resources.
package fhir

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// ContentType is the media type of FHIR's JSON.
const ContentType = "application/fhir+json"

// instant is the form of FHIR's dateTime and instant, to the microsecond.
const instant = "2006-01-02T15:04:05.999999Z07:00"

// The code systems that are used more than once.
const (
	systemActCode   = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	systemActReason = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	systemTypes     = "http://hl7.org/fhir/resource-types"
)

// Our own naming systems and extensions. They are names and no addresses, the
// same on every server.
const (
	systemConsent      = "urn:chatmed:consent"
	systemSession      = "urn:chatmed:session"
	systemPerson       = "urn:chatmed:person:" // and the role
	ExtensionSHA256    = "urn:chatmed:fhir:sha256"
	ExtensionChain     = "urn:chatmed:fhir:consent-chain"
	ExtensionDecision  = "urn:chatmed:fhir:consent-decision"
	extensionSeq       = "seq"
	extensionPrevious  = "previous"
	extensionHash      = "hash"
	extensionSignature = "signature"
)

// Coding is FHIR's, as are the other types here: http://hl7.org/fhir/R4/datatypes.html
type Coding struct {
	System  string `json:"system,omitempty"`
	Code    string `json:"code,omitempty"`
	Display string `json:"display,omitempty"`
}

// CodeableConcept is FHIR's.
type CodeableConcept struct {
	Coding []Coding `json:"coding,omitempty"`
	Text   string   `json:"text,omitempty"`
}

// Identifier is FHIR's.
type Identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value,omitempty"`
}

// Reference is FHIR's; ours are logical, by Identifier.
type Reference struct {
	Type       string      `json:"type,omitempty"`
	Identifier *Identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

// Period is FHIR's.
type Period struct {
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`
}

// Extension is FHIR's, with the values that we use; at most one is set.
type Extension struct {
	Extension   []Extension `json:"extension,omitempty"`
	URL         string      `json:"url"`
	ValueString string      `json:"valueString,omitempty"`
	ValueCode   string      `json:"valueCode,omitempty"`
	ValueInt    int64       `json:"valueInteger,omitempty"`
}

// Attachment is FHIR's. Hash is SHA-1 over the data, as R4 demands; ours, of
// SHA-256, is an extension. Data and hash are base64.
type Attachment struct {
	Extension   []Extension `json:"extension,omitempty"`
	ContentType string      `json:"contentType,omitempty"`
	Language    string      `json:"language,omitempty"`
	Data        []byte      `json:"data,omitempty"`
	Size        int         `json:"size,omitempty"`
	Hash        []byte      `json:"hash,omitempty"`
	Title       string      `json:"title,omitempty"`
}

// Meta is FHIR's.
type Meta struct {
	LastUpdated string `json:"lastUpdated,omitempty"`
}

func concept(system, code, display string) CodeableConcept {
	return CodeableConcept{Coding: []Coding{{system, code, display}}}
}

func dateTime(t time.Time) string { return t.UTC().Format(instant) }

// resourceID is one of our ids as FHIR allows it: letters, digits, - and ., at
// most 64 characters.
func resourceID(id string) string { return strings.ReplaceAll(id, "_", "-") }

// fullURL names a resource of a bundle: the ULID of its id as a UUID, both being
// 128 bits.
func fullURL(id string) string {
	_, name, _ := strings.Cut(id, "_")
	u, err := ulid.ParseStrict(name)
	if err != nil { // no id of ours
		return "urn:" + strings.ReplaceAll(id, "_", ":")
	}
	h := hex.EncodeToString(u[:])
	return "urn:uuid:" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
