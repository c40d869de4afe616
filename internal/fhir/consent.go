package fhir

import (
	"crypto/sha1" //nolint:gosec // FHIR R4 defines Attachment.hash so; it proves nothing here
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// Consent is the R4 resource: http://hl7.org/fhir/R4/consent.html
type Consent struct {
	ResourceType     string            `json:"resourceType"`
	ID               string            `json:"id"`
	Meta             Meta              `json:"meta"`
	Extension        []Extension       `json:"extension"`
	Identifier       []Identifier      `json:"identifier"`
	Status           string            `json:"status"`
	Scope            CodeableConcept   `json:"scope"`
	Category         []CodeableConcept `json:"category"`
	Patient          Reference         `json:"patient"`
	DateTime         string            `json:"dateTime"`
	Performer        []Reference       `json:"performer"`
	Organization     []Reference       `json:"organization,omitempty"`
	SourceAttachment Attachment        `json:"sourceAttachment"`
	PolicyRule       CodeableConcept   `json:"policyRule"`
	Verification     []Verification    `json:"verification"`
	Provision        Provision         `json:"provision"`
}

// Verification says that the decision was made by whom it is about.
type Verification struct {
	Verified         bool       `json:"verified"`
	VerifiedWith     *Reference `json:"verifiedWith,omitempty"`
	VerificationDate string     `json:"verificationDate,omitempty"`
}

// Provision is what is permitted or denied, and from when to when.
type Provision struct {
	Type    string            `json:"type"`
	Period  Period            `json:"period"`
	Action  []CodeableConcept `json:"action"`
	Purpose []Coding          `json:"purpose"`
	Class   []Coding          `json:"class"`
	Data    []ProvisionData   `json:"data"`
}

// ProvisionData is what the provision is about.
type ProvisionData struct {
	Meaning   string    `json:"meaning"`
	Reference Reference `json:"reference"`
}

// View is what a consultation's chain of consents is shown with.
type View struct {
	PatientID string
	// Keeper is who keeps recordings by the text that was shown, "" if unknown.
	Keeper func(*consult.Consent) string
}

// Consents shows a whole chain, oldest first, one resource for each record. A
// grant that the same person replaced by a later decision is no longer active,
// and its period has an end.
func Consents(chain []consult.Consent, v View) []Consent {
	out := make([]Consent, len(chain))
	next := map[consult.ConsentPerson]time.Time{} // when each person decided again
	for i := len(chain) - 1; i >= 0; i-- {
		c := &chain[i]
		until, over := next[c.Person()]
		out[i] = consentOf(c, v)
		if over {
			out[i].Provision.Period.End = dateTime(until)
			if c.Decision == consult.ConsentGranted {
				out[i].Status = "inactive"
			}
		}
		next[c.Person()] = c.At
	}
	return out
}

func consentOf(c *consult.Consent, v View) Consent {
	who := personReference(c)
	out := Consent{
		ResourceType: "Consent", ID: resourceID(c.ID), Meta: Meta{LastUpdated: dateTime(c.At)},
		Extension: []Extension{
			{URL: ExtensionDecision, ValueCode: string(c.Decision)},
			chainExtension(c),
		},
		Identifier: []Identifier{{systemConsent, c.ID}},
		Status:     status(c.Decision),
		Scope:      concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy", "Privacy Consent"),
		Category:   []CodeableConcept{concept("http://loinc.org", "59284-0", "Consent Document")},
		Patient:    patientReference(v.PatientID),
		DateTime:   dateTime(c.At),
		Performer:  []Reference{who},
		PolicyRule: CodeableConcept{
			// Nothing is recorded of whoever has not opted in.
			Coding: []Coding{{systemActCode, "OPTIN", "opt-in"}}, Text: c.WordingID,
		},
		SourceAttachment: attachment(c),
		Verification:     []Verification{{Verified: true, VerificationDate: dateTime(c.At)}},
		Provision: Provision{
			Type: "deny", Period: Period{Start: dateTime(c.At)},
			Action: []CodeableConcept{
				concept("http://terminology.hl7.org/CodeSystem/consentaction", "collect", "Collect"),
			},
			Purpose: []Coding{{systemActReason, "TREAT", "treatment"}},
			Class:   []Coding{{systemTypes, "Media", "Media"}},
			Data: []ProvisionData{{
				Meaning:   "related",
				Reference: Reference{Type: "Encounter", Identifier: &Identifier{systemSession, c.SessionID}},
			}},
		},
	}
	if c.Decision == consult.ConsentGranted {
		out.Provision.Type = "permit"
	}
	if who.Type == "Patient" || who.Type == "RelatedPerson" { // nobody else may stand there
		out.Verification[0].VerifiedWith = &who
	}
	if v.Keeper != nil {
		if keeper := v.Keeper(c); keeper != "" {
			out.Organization = []Reference{{Type: "Organization", Display: keeper}}
		}
	}
	return out
}

func status(d consult.ConsentDecision) string {
	switch d {
	case consult.ConsentGranted:
		return "active"
	case consult.ConsentDeclined:
		return "rejected"
	case consult.ConsentWithdrawn:
	}
	return "inactive"
}

func patientReference(id string) Reference {
	return Reference{Type: "Patient", Identifier: &Identifier{systemPerson + string(consult.Patient), id}}
}

// personReference is whose decision it is, by the type of resource that the role
// would be. Who accompanies the patient, and who interprets, is a related person.
func personReference(c *consult.Consent) Reference {
	kind := "RelatedPerson"
	switch c.Role {
	case consult.Patient:
		kind = "Patient"
	case consult.Doctor, consult.Observer, consult.Integrator:
		kind = "Practitioner"
	case consult.Interpreter, consult.Guest, consult.Device:
	}
	return Reference{Type: kind, Identifier: &Identifier{systemPerson + string(c.Role), c.Subject}}
}

// attachment is the text that was shown, or without it what names it.
func attachment(c *consult.Consent) Attachment {
	a := Attachment{
		Extension:   []Extension{{URL: ExtensionSHA256, ValueString: c.WordingHash}},
		ContentType: "text/plain", Language: c.Language, Title: c.WordingID,
	}
	if c.Text != "" {
		sum := sha1.Sum([]byte(c.Text)) //nolint:gosec // see above
		a.Data, a.Size, a.Hash = []byte(c.Text), len(c.Text), sum[:]
	}
	return a
}

func chainExtension(c *consult.Consent) Extension {
	e := Extension{URL: ExtensionChain, Extension: []Extension{
		{URL: extensionSeq, ValueInt: c.Seq},
		{URL: extensionHash, ValueString: c.Hash},
	}}
	if c.PrevHash != "" { // FHIR knows no empty strings
		e.Extension = append(e.Extension, Extension{URL: extensionPrevious, ValueString: c.PrevHash})
	}
	if c.Signature != "" {
		e.Extension = append(e.Extension, Extension{URL: extensionSignature, ValueString: c.Signature})
	}
	return e
}
