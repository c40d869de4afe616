package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/chatmed/chatmed/internal/consult"
)

// consentSigner signs records of consent. A nil one signs nothing.
type consentSigner struct {
	keys [][]byte // the current one first
}

func (s *consentSigner) sign(c *consult.Consent) (signature, keyID string) {
	if s == nil {
		return "", ""
	}
	return c.SignedBy(s.keys[0]), consentKeyID(s.keys[0])
}

// consentKeyID names a key without telling anything about it.
func consentKeyID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:4])
}

// signBatch is how many records one transaction signs anew.
const signBatch = 500

// SignConsents has every record of consent signed under the first of keys from
// now on. Records signed under the others are signed anew here, so that they
// outlive the next rotation of the secret too; those that carry no valid
// signature stay as they are, and VerifyConsents names them. System: all scopes.
func (s *Store) SignConsents(ctx context.Context, keys [][]byte) error {
	if len(keys) == 0 {
		return errors.New("store: consents need a key to be signed")
	}
	sign := &consentSigner{keys: keys}
	s.consentSigner.Store(sign)
	for _, old := range keys[1:] {
		for after, more := "", true; more; {
			err := s.write(ctx, func(ctx context.Context, q *querier) error {
				page, err := list(ctx, q, scanConsent, `SELECT `+consentColumns+` FROM consents
					WHERE key_id = $1 AND id > $2 ORDER BY id LIMIT $3`, consentKeyID(old), after, signBatch)
				if err != nil {
					return err
				}
				if err := q.signAgain(ctx, sign, old, page); err != nil {
					return err
				}
				if more = len(page) == signBatch; more {
					after = page[len(page)-1].ID
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *querier) signAgain(ctx context.Context, sign *consentSigner, old []byte, page []consult.Consent) error {
	for i := range page {
		c := &page[i]
		if c.Hash != c.ComputeHash() || !c.VerifySignature([][]byte{old}) {
			continue // tampering is not laundered
		}
		signature, keyID := sign.sign(c)
		if _, err := q.exec(ctx, `UPDATE consents SET signature = $1, key_id = $2
			WHERE account_id = $3 AND mode = $4 AND id = $5`, signature, keyID, c.Scope.AccountID, c.Scope.Mode, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// VerifyConsents follows the chain of every consultation of the scope and holds
// it against the audit log, which names each record: whatever was altered,
// added, moved or removed, the last records included, is found out as long as
// the audit log itself holds (VerifyAudit). It returns how many records there
// are and where chains break, one per consultation. Chains that went with their
// consultation, by retention, are not missed.
func (s *Store) VerifyConsents(ctx context.Context, sc consult.Scope) (records int64, broken []consult.ConsentBreak, err error) {
	for after, more := "", true; more; {
		sessions, err := s.sessionsWithConsents(ctx, sc, after)
		if err != nil {
			return records, broken, err
		}
		for _, id := range sessions {
			chain, b, err := s.verifyChain(ctx, sc, id)
			if err != nil {
				return records, broken, err
			}
			records += int64(chain)
			if b != nil {
				broken = append(broken, *b)
			}
		}
		if more = len(sessions) == auditPage; more {
			after = sessions[len(sessions)-1]
		}
	}
	return records, broken, nil
}

// sessionsWithConsents pages the consultations that have records, or that the
// audit log says had.
func (s *Store) sessionsWithConsents(ctx context.Context, sc consult.Scope, after string) (ids []string, err error) {
	err = s.read(ctx, func(ctx context.Context, q *querier) error {
		ids, err = list(ctx, q, func(r scanner, id *string) error { return r.Scan(id) }, `SELECT id FROM consultations c
			WHERE account_id = $1 AND mode = $2 AND id > $3 AND (
				EXISTS (SELECT 1 FROM consents n WHERE n.account_id = $1 AND n.mode = $2 AND n.session_id = c.id)
				OR EXISTS (SELECT 1 FROM audit_log a WHERE a.account_id = $1 AND a.mode = $2 AND a.session_id = c.id
					AND a.type IN ('consent.granted', 'consent.declined', 'consent.withdrawn')))
			ORDER BY id LIMIT $4`, sc.AccountID, sc.Mode, after, auditPage)
		return err
	})
	return ids, err
}

func (s *Store) verifyChain(ctx context.Context, sc consult.Scope, sessionID string) (n int, b *consult.ConsentBreak, err error) {
	var chain []consult.Consent
	var entries []AuditEntry
	err = s.snapshot(ctx, func(ctx context.Context, q *querier) error {
		if chain, err = q.consents(ctx, sc, sessionID); err != nil {
			return err
		}
		entries, err = list(ctx, q, scanAudit, `SELECT `+auditColumns+` FROM audit_log
			WHERE account_id = $1 AND mode = $2 AND session_id = $3
				AND type IN ('consent.granted', 'consent.declined', 'consent.withdrawn') ORDER BY seq`,
			sc.AccountID, sc.Mode, sessionID)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	var keys [][]byte
	if sign := s.consentSigner.Load(); sign != nil {
		keys = sign.keys
	}
	if b := consult.VerifyConsents(chain, keys); b != nil {
		return len(chain), b, nil
	}
	return len(chain), againstAudit(sc, sessionID, chain, entries), nil
}

// againstAudit holds a chain that is whole in itself against what the audit log
// says of it.
func againstAudit(sc consult.Scope, sessionID string, chain []consult.Consent, entries []AuditEntry) *consult.ConsentBreak {
	breaks := func(seq int, why string) *consult.ConsentBreak {
		return &consult.ConsentBreak{Scope: sc, SessionID: sessionID, Seq: int64(seq), Why: why}
	}
	for i := range max(len(chain), len(entries)) {
		switch {
		case i >= len(chain):
			return breaks(i+1, "the audit log knows a record that is missing")
		case i >= len(entries):
			return breaks(i+1, "the audit log does not know the record")
		}
		var a consentAnchor
		if json.Unmarshal(entries[i].Event.Data, &a) != nil || a.ID != chain[i].ID || a.Seq != chain[i].Seq || a.Hash != chain[i].Hash {
			return breaks(i+1, "the record is not the one that the audit log knows")
		}
	}
	return nil
}
