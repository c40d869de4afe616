package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	maxLanguage  = 35 // RFC 5646 section 4.4.1
	maxWordingID = 64
)

const consentColumns = `id, account_id, mode, session_id, seq, participant_id, role, subject, alias, decision,
	wording_id, wording_hash, language, at, prev_hash, hash, signature`

func scanConsent(r scanner, c *consult.Consent) error {
	return r.Scan(&c.ID, &c.Scope.AccountID, &c.Scope.Mode, &c.SessionID, &c.Seq, &c.ParticipantID, &c.Role, &c.Subject,
		&c.Alias, &c.Decision, &c.WordingID, &c.WordingHash, &c.Language, scanTime{&c.At}, &c.PrevHash, &c.Hash, &c.Signature)
}

// AppendConsent writes c as the next link of its consultation's chain and fills
// ID where it is empty, Seq, Alias, PrevHash, Hash and Signature; At becomes what
// is stored. Every consent.* event of events gets consent_id, seq and hash into
// its data, so that the audit log knows each record; without one, one is
// written. Of appends at the same time, on any node, each gets its own place.
// A consultation takes decisions in every state: a grant can be withdrawn after
// the call.
func (s *Store) AppendConsent(ctx context.Context, c *consult.Consent, events []consult.Event) error {
	if err := checkConsent(c); err != nil {
		return err
	}
	var stored consult.Consent
	err := s.write(ctx, func(ctx context.Context, q *querier) error {
		stored = *c
		if err := q.linkConsent(ctx, &stored); err != nil {
			return err
		}
		signature, keyID := s.consentSigner.Load().sign(&stored)
		stored.Signature = signature
		if err := q.keepWording(ctx, &stored); err != nil {
			return err
		}
		_, err := q.exec(ctx, `INSERT INTO consents (`+consentColumns+`, key_id)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
			stored.ID, stored.Scope.AccountID, stored.Scope.Mode, stored.SessionID, stored.Seq, stored.ParticipantID, stored.Role,
			stored.Subject, stored.Alias, stored.Decision, stored.WordingID, stored.WordingHash, stored.Language,
			micros(stored.At), stored.PrevHash, stored.Hash, stored.Signature, keyID)
		if err != nil {
			return err
		}
		told, err := consentEvents(&stored, events)
		if err != nil {
			return err
		}
		return q.record(ctx, stored.Scope, told)
	})
	if err != nil {
		return err
	}
	*c = stored
	return nil
}

// checkConsent refuses what no caller of ours may write: the text itself never
// stands in the error.
func checkConsent(c *consult.Consent) error {
	wrong := ""
	switch {
	case !c.Decision.Valid():
		wrong = "decision"
	case !c.Role.Valid(), !c.Role.Recorded():
		wrong = "role"
	case c.Subject == "":
		wrong = "subject"
	case c.WordingID == "" || len(c.WordingID) > maxWordingID || clean(c.WordingID) != c.WordingID:
		wrong = "wording_id"
	case len(c.WordingHash) != 64 || strings.Trim(c.WordingHash, "0123456789abcdef") != "":
		wrong = "wording_hash"
	case c.Text != "" && (consult.HashWording(c.Text) != c.WordingHash || clean(c.Text) != c.Text):
		wrong = "text"
	case c.Language == "" || len(c.Language) > maxLanguage || clean(c.Language) != c.Language:
		wrong = "language"
	case c.At.IsZero():
		wrong = "at"
	}
	if wrong == "" {
		return nil
	}
	return invalidConsent(wrong)
}

func invalidConsent(field string) error {
	return &consult.Error{
		Code: consult.ValidationError, Message: "The consent is not valid.",
		Fields: []consult.FieldError{{Field: field, Message: "is not valid"}},
	}
}

// linkConsent makes c the link after the last one. The consultation's row is
// the chain's lock.
func (q *querier) linkConsent(ctx context.Context, c *consult.Consent) error {
	of, err := q.consultation(ctx, c.Scope, c.SessionID, q.dialect.lockRow)
	if err != nil {
		return err
	}
	if c.ID == "" {
		c.ID = consult.NewID(consult.PrefixConsent)
	}
	c.ParticipantID, c.Subject = clean(c.ParticipantID), clean(c.Subject)
	c.At, c.Alias = truncated(c.At), c.Subject
	if c.Role == consult.Patient && c.Subject != of.PatientID { // an erasure may have come first
		return invalidConsent("subject")
	}
	if c.Subject == of.PatientID {
		names := pseudonyms{q: q, sc: c.Scope}
		if c.Alias, err = names.of(ctx, c.Subject); err != nil {
			return err
		}
	}
	last, err := list(ctx, q, scanConsent, `SELECT `+consentColumns+` FROM consents
		WHERE account_id = $1 AND mode = $2 AND session_id = $3 ORDER BY seq DESC LIMIT 1`,
		c.Scope.AccountID, c.Scope.Mode, c.SessionID)
	if err != nil {
		return err
	}
	c.Seq, c.PrevHash = 1, ""
	if len(last) > 0 {
		c.Seq, c.PrevHash = last[0].Seq+1, last[0].Hash
	}
	c.Hash = c.ComputeHash()
	return nil
}

// keepWording stores the text that was shown unless it is stored already.
func (q *querier) keepWording(ctx context.Context, c *consult.Consent) error {
	if c.Text == "" {
		return nil
	}
	_, err := q.exec(ctx, `INSERT INTO consent_wordings (account_id, mode, hash, text) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id, mode, hash) DO NOTHING`, c.Scope.AccountID, c.Scope.Mode, c.WordingHash, c.Text)
	return err
}

// consentAnchor is what the audit log says of a record.
type consentAnchor struct {
	ID       string                  `json:"consent_id"`
	Seq      int64                   `json:"seq"`
	Hash     string                  `json:"hash"`
	Decision consult.ConsentDecision `json:"decision"`
}

const consentEventPrefix = "consent."

// consentEvents is events with the record named in each of its own.
func consentEvents(c *consult.Consent, events []consult.Event) ([]consult.Event, error) {
	out := make([]consult.Event, 0, len(events)+1)
	named := false
	for _, e := range events {
		if strings.HasPrefix(string(e.Type), consentEventPrefix) {
			if named {
				return nil, errors.New("two events of one consent")
			}
			named = true
			data, err := anchored(c, e.Data)
			if err != nil {
				return nil, fmt.Errorf("event %s: %w", e.ID, err)
			}
			e.Data, e.SessionID = data, c.SessionID
		}
		out = append(out, e)
	}
	if named {
		return out, nil
	}
	data, err := anchored(c, nil)
	if err != nil {
		return nil, err
	}
	return append(out, consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: consult.EventType(consentEventPrefix + string(c.Decision)), Scope: c.Scope,
		Actor:     consult.Actor{Kind: consult.ActorParticipant, ID: c.Subject, Role: c.Role},
		SessionID: c.SessionID, At: c.At, Data: data,
	}), nil
}

// anchored is data, an object or nothing, with the record's id, place and hash.
func anchored(c *consult.Consent, data json.RawMessage) (json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &fields); err != nil {
			return nil, errors.New("the data of a consent's event is no object")
		}
	}
	anchor, err := json.Marshal(consentAnchor{c.ID, c.Seq, c.Hash, c.Decision})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(anchor, &fields); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// Consents returns the consultation's chain, oldest first, each record with the
// text that was shown. None for a consultation that is not there.
func (s *Store) Consents(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.Consent, error) {
	var out []consult.Consent
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		if out, err = q.consents(ctx, sc, sessionID); err != nil || len(out) == 0 {
			return err
		}
		texts, err := list(ctx, q, func(r scanner, v *[2]string) error { return r.Scan(&v[0], &v[1]) },
			`SELECT hash, text FROM consent_wordings WHERE account_id = $1 AND mode = $2 AND hash IN (
				SELECT wording_hash FROM consents WHERE account_id = $1 AND mode = $2 AND session_id = $3)`,
			sc.AccountID, sc.Mode, sessionID)
		if err != nil {
			return err
		}
		known := make(map[string]string, len(texts))
		for _, t := range texts {
			known[t[0]] = t[1]
		}
		for i := range out {
			out[i].Text = known[out[i].WordingHash]
		}
		return nil
	})
	return out, err
}

func (q *querier) consents(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.Consent, error) {
	return list(ctx, q, scanConsent, `SELECT `+consentColumns+` FROM consents
		WHERE account_id = $1 AND mode = $2 AND session_id = $3 ORDER BY seq`, sc.AccountID, sc.Mode, sessionID)
}
