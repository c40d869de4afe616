package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/fhir"
	"github.com/chatmed/chatmed/recording/wording"
)

func (s *server) consentRoutes() []route {
	return []route{{http.MethodGet, "/api/v1/consultations/video/{session_id}/consents", s.listConsents}}
}

// Consents reads what people said to being recorded: the whole chain of a
// consultation, oldest first (the store).
type Consents interface {
	Consents(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.Consent, error)
}

// exactTime is the form of a time that a hash covers: microseconds, always six.
const exactTime = "2006-01-02T15:04:05.000000Z"

type wordingBody struct {
	ID       string  `json:"id"`
	Language string  `json:"language"`
	Hash     string  `json:"hash"`
	Text     *string `json:"text"`
}

type consentBody struct {
	ConsentID     string                  `json:"consent_id"`
	AccountID     string                  `json:"account_id"`
	Mode          consult.Mode            `json:"mode"`
	SessionID     string                  `json:"session_id"`
	Seq           int64                   `json:"seq"`
	ParticipantID string                  `json:"participant_id"`
	Role          consult.Role            `json:"role"`
	Subject       string                  `json:"subject"`
	Alias         string                  `json:"alias"`
	Decision      consult.ConsentDecision `json:"decision"`
	Wording       wordingBody             `json:"wording"`
	At            string                  `json:"at"`
	PreviousHash  *string                 `json:"previous_hash"`
	Hash          string                  `json:"hash"`
	Signature     *string                 `json:"signature"`
}

func consentOf(c *consult.Consent) consentBody {
	return consentBody{
		ConsentID: c.ID, AccountID: c.Scope.AccountID, Mode: c.Scope.Mode, SessionID: c.SessionID, Seq: c.Seq,
		ParticipantID: c.ParticipantID, Role: c.Role, Subject: c.Subject, Alias: c.Alias, Decision: c.Decision,
		Wording: wordingBody{ID: c.WordingID, Language: c.Language, Hash: c.WordingHash, Text: optional(c.Text)},
		At:      c.At.UTC().Format(exactTime), PreviousHash: optional(c.PrevHash), Hash: c.Hash, Signature: optional(c.Signature),
	}
}

const formatFHIR = "fhir"

// listConsents is the chain of a consultation, oldest first: as our own JSON, or
// as a searchset of FHIR to who asks for it.
func (s *server) listConsents(ctx context.Context, r *request) (any, error) {
	p, err := s.page(r)
	if err != nil {
		return nil, err
	}
	c, err := s.Consultations.Get(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	chain, err := s.Consents.Consents(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, err
	}
	items, next, err := cut(chain, p, func(c *consult.Consent) string { return c.ID })
	if err != nil {
		return nil, err
	}
	header := map[string]string{"Vary": "Accept"}
	format, asked := r.params["format"]
	if format == formatFHIR || !asked && prefers(r.header, fhir.ContentType, "application/json") {
		first := 0
		if len(items) > 0 {
			first = int(items[0].Seq) - 1
		}
		data, err := encode(s.consentBundle(r, c, chain, first, len(items), next))
		return document{contentType: fhir.ContentType, data: data, header: header}, err
	}
	data, err := encode(pageOf(s, r, items, next, consentOf))
	return document{contentType: contentTypeJSON, data: data, header: header}, err
}

// consentBundle is the page of n records from the first on. The whole chain
// decides what each is worth now.
func (s *server) consentBundle(r *request, c *consult.Consultation, chain []consult.Consent, first, n int, next string) fhir.Bundle {
	all := fhir.Consents(chain, fhir.View{
		PatientID: c.PatientID,
		Keeper:    func(c *consult.Consent) string { return wording.KeeperIn(c.Text) },
	})
	r.params["format"] = formatFHIR // links lead to the same form, whatever Accept says
	query := url.Values{"format": {formatFHIR}}
	if limit, ok := r.params["limit"]; ok {
		query.Set("limit", limit)
	}
	path := "/api/v1/consultations/video/" + url.PathEscape(c.ID) + "/consents?"
	following := ""
	if next != "" {
		query.Set("cursor", s.sealCursor(next, r.cursorContext()))
		following = path + query.Encode()
	}
	query.Del("cursor")
	if cursor, ok := r.params["cursor"]; ok {
		query.Set("cursor", cursor)
	}
	return fhir.Searchset(all[first:first+n], len(chain), path+query.Encode(), following)
}
