package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/chatmed/chatmed/internal/consult"
)

// auditFormat names the canonical bytes below. A new form gets a new name, so
// that no entry of one form can pass as another.
const auditFormat = "chatmed-audit-1"

// AuditEntry is one link of a scope's audit chain.
type AuditEntry struct {
	ID  string
	Seq int64 // counts from 1 in its scope, without gaps
	// Event is what happened; its ID, Type, Actor, At and so on are the entry's.
	Event consult.Event
	// PrevHash is the hash of the entry before, empty for the first; Hash is
	// SHA-256 over the whole entry and PrevHash. Lower-case hexadecimal.
	PrevHash string
	Hash     string
}

// chainHead is the last link of a chain: zero and empty before the first.
type chainHead struct {
	seq  int64
	hash string
	mac  string // the signature of the two, "" without one
}

// canonical is the entry as bytes that no other entry has: every field in a
// fixed order, each preceded by its length as 64 bits, big endian.
func (e *AuditEntry) canonical() []byte {
	var b []byte
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text := func(s string) {
		number(int64(len(s)))
		b = append(b, s...)
	}
	ev := &e.Event
	text(auditFormat)
	text(ev.Scope.AccountID)
	text(string(ev.Scope.Mode))
	number(e.Seq)
	text(e.ID)
	text(ev.ID)
	text(string(ev.Type))
	text(string(ev.Actor.Kind))
	text(ev.Actor.ID)
	text(string(ev.Actor.Role))
	text(ev.SessionID)
	text(ev.TicketID)
	text(ev.DoctorID)
	number(micros(ev.At))
	text(string(ev.Data))
	text(e.PrevHash)
	return b
}

func (e *AuditEntry) computeHash() string {
	sum := sha256.Sum256(e.canonical())
	return hex.EncodeToString(sum[:])
}

func (q *querier) lockChain(ctx context.Context, sc consult.Scope) (chainHead, error) {
	return q.chain(ctx, sc, q.dialect.lockRow)
}

func (q *querier) chain(ctx context.Context, sc consult.Scope, lock string) (chainHead, error) {
	h, err := one(ctx, q, "account", func(r scanner, h *chainHead) error { return r.Scan(&h.seq, &h.hash, &h.mac) },
		`SELECT audit_seq, audit_hash, audit_mac FROM scopes WHERE account_id = $1 AND mode = $2`+lock, sc.AccountID, sc.Mode)
	if err != nil {
		return chainHead{}, err
	}
	return *h, nil
}

const auditColumns = `account_id, mode, seq, id, event_id, type, actor_kind, actor_id, actor_role,
	session_id, ticket_id, doctor_id, at, data, prev_hash, hash`

// appendAudit writes ev as the link after head and returns the new head.
func (q *querier) appendAudit(ctx context.Context, head chainHead, ev *consult.Event) (chainHead, error) {
	e := AuditEntry{ID: consult.NewID(consult.PrefixAudit), Seq: head.seq + 1, Event: *ev, PrevHash: head.hash}
	e.Hash = e.computeHash()
	_, err := q.exec(ctx, `INSERT INTO audit_log (`+auditColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		ev.Scope.AccountID, ev.Scope.Mode, e.Seq, e.ID, ev.ID, ev.Type, ev.Actor.Kind, ev.Actor.ID, ev.Actor.Role,
		ev.SessionID, ev.TicketID, ev.DoctorID, micros(ev.At), string(ev.Data), e.PrevHash, e.Hash)
	if err != nil {
		return head, err
	}
	return chainHead{seq: e.Seq, hash: e.Hash}, nil
}

func scanAudit(r scanner, e *AuditEntry) error {
	ev := &e.Event
	var data string
	err := r.Scan(&ev.Scope.AccountID, &ev.Scope.Mode, &e.Seq, &e.ID, &ev.ID, &ev.Type,
		&ev.Actor.Kind, &ev.Actor.ID, &ev.Actor.Role, &ev.SessionID, &ev.TicketID, &ev.DoctorID,
		scanTime{&ev.At}, &data, &e.PrevHash, &e.Hash)
	if data != "" {
		ev.Data = []byte(data)
	}
	return err
}

// Audit returns the entries of one consultation, or with sessionID empty those
// that belong to none (keys and the like), oldest first.
func (s *Store) Audit(ctx context.Context, sc consult.Scope, sessionID string) ([]AuditEntry, error) {
	var out []AuditEntry
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		out, err = list(ctx, q, scanAudit, `SELECT `+auditColumns+` FROM audit_log
			WHERE account_id = $1 AND mode = $2 AND session_id = $3 ORDER BY seq`, sc.AccountID, sc.Mode, sessionID)
		return err
	})
	return out, err
}
