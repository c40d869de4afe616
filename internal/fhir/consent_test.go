package fhir_test

import (
	"crypto/sha1" //nolint:gosec // as FHIR R4 defines Attachment.hash
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/fhir"
)

var at = time.Date(2025, 1, 15, 10, 30, 0, 120000000, time.UTC)

const text = "May we record?\nKept by the clinic. نعم"

// chain is one of every role and decision, in a few orders.
func chain() []consult.Consent {
	var out []consult.Consent
	prev := ""
	add := func(role consult.Role, d consult.ConsentDecision) {
		c := consult.Consent{
			ID: consult.NewID(consult.PrefixConsent), Scope: consult.Scope{AccountID: "acc", Mode: consult.Live}, SessionID: "vs_1",
			Seq: int64(len(out)) + 1, ParticipantID: "prt_1", Role: role, Subject: "who_" + string(role), Alias: "who_" + string(role),
			Decision: d, WordingID: "recording-1", WordingHash: consult.HashWording(text), Text: text, Language: "ar",
			At: at.Add(time.Duration(len(out)) * time.Second), PrevHash: prev,
		}
		c.Hash = c.ComputeHash()
		c.Signature = c.SignedBy([]byte("k"))
		prev = c.Hash
		out = append(out, c)
	}
	for _, role := range []consult.Role{consult.Doctor, consult.Patient, consult.Interpreter, consult.Guest, consult.Observer, consult.Integrator} {
		for _, d := range []consult.ConsentDecision{consult.ConsentDeclined, consult.ConsentGranted, consult.ConsentWithdrawn, consult.ConsentGranted} {
			add(role, d)
		}
	}
	return out
}

func view() fhir.View {
	return fhir.View{PatientID: "who_patient", Keeper: func(*consult.Consent) string { return "The clinic" }}
}

// asJSON is what a client reads.
func asJSON(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestConsentsAreValidR4(t *testing.T) {
	all := chain()
	bare := all[0] // no text, no signature, no keeper
	bare.Text, bare.Signature = "", ""
	for i, c := range append(fhir.Consents(all, view()), fhir.Consents([]consult.Consent{bare}, fhir.View{PatientID: "p"})...) {
		at, v := fmt.Sprintf("Consent[%d]", i), asJSON(t, c)
		check(t, at, "Consent", v)
		// ppc-1: a policy or a policyRule. ppc-2: a patient where the scope is privacy.
		if v["policyRule"] == nil || v["patient"] == nil {
			t.Errorf("%s: %v", at, v)
		}
		// att-1: data has a content type. Data is what hash and size are of.
		a, _ := v["sourceAttachment"].(map[string]any)
		if a["contentType"] != "text/plain" || a["language"] != "ar" {
			t.Errorf("%s: %v", at, a)
		}
		if a["data"] == nil {
			continue
		}
		sum := sha1.Sum([]byte(text)) //nolint:gosec // see above
		if a["data"] != base64.StdEncoding.EncodeToString([]byte(text)) || a["hash"] != base64.StdEncoding.EncodeToString(sum[:]) ||
			a["size"] != float64(len(text)) {
			t.Errorf("%s: %v", at, a)
		}
		ours, _ := a["extension"].([]any)[0].(map[string]any)
		if ours["url"] != fhir.ExtensionSHA256 || ours["valueString"] != consult.HashWording(text) {
			t.Errorf("%s: %v", at, ours)
		}
	}
}

func TestWhatBecomesOfADecision(t *testing.T) {
	all := chain()[4:8] // the patient's: declined, granted, withdrawn, granted
	want := []struct{ status, provision, end string }{
		{"rejected", "deny", "2025-01-15T10:30:05.12Z"},
		{"inactive", "permit", "2025-01-15T10:30:06.12Z"}, // a grant that was withdrawn
		{"inactive", "deny", "2025-01-15T10:30:07.12Z"},
		{"active", "permit", ""},
	}
	for i, c := range fhir.Consents(all, view()) {
		got := struct{ status, provision, end string }{c.Status, c.Provision.Type, c.Provision.Period.End}
		if got != want[i] {
			t.Errorf("%s: %v, want %v", all[i].Decision, got, want[i])
		}
		if c.Extension[0].ValueCode != string(all[i].Decision) || c.Performer[0].Identifier.Value != "who_patient" ||
			c.Organization[0].Display != "The clinic" || c.Verification[0].VerifiedWith == nil || c.DateTime != c.Provision.Period.Start {
			t.Errorf("%+v", c)
		}
	}
	// Somebody else's later decision replaces nothing.
	one := fhir.Consents([]consult.Consent{all[1], chain()[0]}, view())
	if one[0].Status != "active" || one[0].Provision.Period.End != "" {
		t.Errorf("%+v", one[0])
	}
}

func TestSearchset(t *testing.T) {
	all := fhir.Consents(chain(), view())
	for _, b := range []fhir.Bundle{
		fhir.Searchset(all, len(all), "/self", ""), fhir.Searchset(all[:2], len(all), "/self", "/next"), fhir.Searchset(nil, 0, "/self", ""),
	} {
		check(t, "Bundle", "Bundle", asJSON(t, b))
		seen := map[string]bool{}
		for _, e := range b.Entry { // bdl-7: no two are the same
			if seen[e.FullURL] || len(e.FullURL) != len("urn:uuid:")+36 || e.Search.Mode != "match" {
				t.Errorf("%s is there already, or no UUID", e.FullURL)
			}
			seen[e.FullURL] = true
		}
		if len(b.Entry) == 2 && b.Link[1] != (fhir.BundleLink{Relation: "next", URL: "/next"}) {
			t.Errorf("%+v", b.Link)
		}
	}
}
