package store

import (
	"context"
	"fmt"

	"github.com/chatmed/chatmed/internal/consult"
)

// auditPage is how many entries one query reads.
const auditPage = 500

// AuditBreak is where a scope's audit chain does not hold.
type AuditBreak struct {
	Scope consult.Scope
	Seq   int64 // the first entry that is missing, added or altered
	Why   string
}

func (b *AuditBreak) Error() string {
	return fmt.Sprintf("audit chain of %s/%s breaks at entry %d: %s", b.Scope.AccountID, b.Scope.Mode, b.Seq, b.Why)
}

// AuditHead is the end of a scope's chain: how many entries it has, and the
// hash of the last, which stands for them all.
type AuditHead struct {
	Scope consult.Scope
	Seq   int64
	Hash  string
}

// VerifyAudit recomputes the scope's whole chain, up to the entries written
// while it runs, and returns an *AuditBreak at the first entry that was
// altered, removed, inserted or moved. It reads pages of its own, each under
// its own deadline when ctx has none, so its memory does not grow with the
// chain. Once SignAudit was called it also demands the signature of the chain's
// head.
//
// Whoever can write to the database but does not know the server's secret is
// found out when changing, adding, removing or reordering any entry, the last
// ones included: the hashes can be made anew, the signature of the head cannot.
// What stays hidden is putting back a head and the chain as they both were
// earlier (an old backup), or removing an account as if it had never been.
// AuditHolds finds those too, given a head that was noted elsewhere.
func (s *Store) VerifyAudit(ctx context.Context, sc consult.Scope) error {
	_, err := s.VerifiedHead(ctx, sc)
	return err
}

// VerifiedHead is VerifyAudit, and returns the head to note elsewhere.
func (s *Store) VerifiedHead(ctx context.Context, sc consult.Scope) (AuditHead, error) {
	head, err := s.walkAudit(ctx, sc)
	if err == nil && !s.signer.Load().trusts(sc, head) {
		err = &AuditBreak{sc, head.seq, "the end of the chain does not carry this server's signature: " +
			"entries after it were removed, or the chain was rewritten, or it was never signed"}
	}
	return AuditHead{sc, head.seq, head.hash}, err
}

// walkAudit follows the chain from its first entry to the head.
func (s *Store) walkAudit(ctx context.Context, sc consult.Scope) (chainHead, error) {
	var head chainHead
	var last int64
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		// One statement, so that no entry is written between the two looks.
		return scanOne(q.row(ctx, `SELECT audit_seq, audit_hash, audit_mac,
				(SELECT COALESCE(MAX(seq), 0) FROM audit_log WHERE account_id = $1 AND mode = $2)
			FROM scopes WHERE account_id = $1 AND mode = $2`, sc.AccountID, sc.Mode), "account",
			&head.seq, &head.hash, &head.mac, &last)
	})
	if err != nil {
		return head, err
	}
	var at chainHead
	for at.seq < head.seq {
		page, err := s.auditPage(ctx, sc, at.seq, head.seq)
		if err != nil {
			return head, err
		}
		if len(page) == 0 {
			return head, &AuditBreak{sc, at.seq + 1, "the entry is missing"}
		}
		for i := range page {
			if at, err = follow(sc, at, &page[i]); err != nil {
				return head, err
			}
		}
	}
	switch {
	case at.hash != head.hash:
		return head, &AuditBreak{sc, head.seq, "the entry is not the one the chain ended with"}
	case last > head.seq:
		return head, &AuditBreak{sc, head.seq + 1, "the entry stands after the end of the chain"}
	}
	return head, nil
}

// follow checks that e is the link after at, and returns it as the new end.
func follow(sc consult.Scope, at chainHead, e *AuditEntry) (chainHead, error) {
	switch {
	case e.Seq != at.seq+1:
		return at, &AuditBreak{sc, at.seq + 1, "the entry is missing"}
	case e.PrevHash != at.hash:
		return at, &AuditBreak{sc, e.Seq, "the entry does not follow the one before"}
	case e.Hash != e.computeHash():
		return at, &AuditBreak{sc, e.Seq, "the entry was altered"}
	}
	return chainHead{seq: e.Seq, hash: e.Hash}, nil
}

// AuditHolds checks that the chain still contains a head that was noted before:
// whatever was removed or rewritten since is then found out, even by someone who
// put back an old state of the whole database.
func (s *Store) AuditHolds(ctx context.Context, known AuditHead) error {
	if known.Seq == 0 {
		return nil
	}
	page, err := s.auditPage(ctx, known.Scope, known.Seq-1, known.Seq)
	switch {
	case err != nil:
		return err
	case len(page) == 0:
		return &AuditBreak{known.Scope, known.Seq, "the entry noted before is missing"}
	case page[0].Hash != known.Hash:
		return &AuditBreak{known.Scope, known.Seq, "the entry is not the one noted before"}
	}
	return nil
}

func (s *Store) auditPage(ctx context.Context, sc consult.Scope, after, last int64) ([]AuditEntry, error) {
	var page []AuditEntry
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		page, err = list(ctx, q, scanAudit, `SELECT `+auditColumns+` FROM audit_log
			WHERE account_id = $1 AND mode = $2 AND seq > $3 AND seq <= $4 ORDER BY seq LIMIT $5`,
			sc.AccountID, sc.Mode, after, last, auditPage)
		return err
	})
	return page, err
}
