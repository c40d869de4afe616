package consult

import (
	"time"
)

// PrefixConsent and PrefixRecording name records of consent and recordings.
const (
	PrefixConsent   = "cns"
	PrefixRecording = "rec"
)

// ConsentDecision is what a person said to being recorded.
type ConsentDecision string

// The decisions. Withdrawn takes a grant back.
const (
	ConsentGranted   ConsentDecision = "granted"
	ConsentDeclined  ConsentDecision = "declined"
	ConsentWithdrawn ConsentDecision = "withdrawn"
)

// Valid reports whether d is one of the three.
func (d ConsentDecision) Valid() bool {
	return d == ConsentGranted || d == ConsentDeclined || d == ConsentWithdrawn
}

// Consent is one decision of one person in one consultation, and a link of that
// consultation's chain. It is never changed.
type Consent struct {
	ID            string
	Scope         Scope
	SessionID     string
	Seq           int64 // counts from 1 in its session, without gaps
	ParticipantID string
	Role          Role
	Subject       string // of the person's token: the doctor's or patient's id, or a generated one
	// Alias stands for Subject in Hash: a patient's pseudonym of the audit log,
	// otherwise the subject. The store sets it; an erasure puts it in place of
	// Subject, and the chain still holds.
	Alias    string
	Decision ConsentDecision
	// WordingID names the text that was shown, WordingHash is SHA-256 over the
	// exact text as shown, in lower-case hexadecimal, Language its BCP 47 tag.
	WordingID   string
	WordingHash string
	Language    string
	// Text is the exact text that was shown. The store keeps each text once, and
	// refuses one that is not WordingHash's; empty: it was kept before, or is not
	// known. Hash covers it by WordingHash.
	Text string
	At   time.Time
	// PrevHash is the Hash of the link before, empty for the first; Hash is
	// SHA-256 over the whole record and PrevHash; Signature is HMAC-SHA-256 over
	// Hash under a key derived from the server's secret. Lower-case hexadecimal.
	PrevHash  string
	Hash      string
	Signature string
}

// Recorded reports whether somebody of this role is asked for consent: everyone
// but a device.
func (r Role) Recorded() bool { return r != Device }

// Wording is what a person is shown before they decide, exactly.
type Wording struct {
	ID       string // names text and version, for instance "recording-1"
	Language string // BCP 47
	Text     string // the whole text, with who keeps the recording and how long
	Hash     string // SHA-256 of Text, lower-case hexadecimal
}
