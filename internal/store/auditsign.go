package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"

	"github.com/chatmed/chatmed/internal/consult"
)

// headFormat names the bytes that are signed, as auditFormat does.
const headFormat = "chatmed-audit-head-1"

// signTries bounds how often SignChain begins again because the chain grew.
const signTries = 5

// signer signs the heads of audit chains. A nil one signs nothing and trusts
// everything.
type signer struct {
	keys [][]byte // the current one first
	log  *slog.Logger
	// told are the scopes whose missing signature was logged.
	told sync.Map
}

// SignAudit has the head of every audit chain signed with HMAC-SHA-256 under
// the first of keys from now on; heads signed under the others are accepted, and
// signed anew here. Call it before anything is written. Every process that
// writes to the database needs the same keys: what one without them appends is
// unsigned, and VerifyAudit says so.
//
// A chain whose head does not carry a signature is not signed again by writing
// to it, or tampering could be laundered: SignChain does that.
func (s *Store) SignAudit(ctx context.Context, keys [][]byte) error {
	if len(keys) == 0 {
		return errors.New("store: audit chains need a key to be signed")
	}
	sign := &signer{keys: keys, log: s.log}
	s.signer.Store(sign)
	scopes, err := s.signedOtherwise(ctx, sign)
	if err != nil {
		return err
	}
	for _, sc := range scopes {
		err := s.write(ctx, func(ctx context.Context, q *querier) error {
			head, err := q.lockChain(ctx, sc)
			if err != nil || !sign.old(sc, head) { // another process was faster
				return err
			}
			return q.signHead(ctx, sc, head)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// signedOtherwise lists the scopes whose head is signed, but not under the
// current key.
func (s *Store) signedOtherwise(ctx context.Context, sign *signer) ([]consult.Scope, error) {
	type row struct {
		scope consult.Scope
		head  chainHead
	}
	var out []consult.Scope
	err := s.read(ctx, func(ctx context.Context, q *querier) error {
		rows, err := list(ctx, q, func(r scanner, v *row) error {
			return r.Scan(&v.scope.AccountID, &v.scope.Mode, &v.head.seq, &v.head.hash, &v.head.mac)
		}, `SELECT account_id, mode, audit_seq, audit_hash, audit_mac FROM scopes ORDER BY account_id, mode`)
		for _, v := range rows {
			if sign.old(v.scope, v.head) {
				out = append(out, v.scope)
			}
		}
		return err
	})
	return out, err
}

// SignChain signs a chain whose head has no valid signature, after walking all
// of it, and says so in an entry. It is for chains from before SignAudit, and for
// an operator who has looked into a broken one. System: it is not for callers of
// the API.
func (s *Store) SignChain(ctx context.Context, sc consult.Scope, e consult.Event) error {
	sign := s.signer.Load()
	if sign == nil {
		return errors.New("store: SignAudit comes first")
	}
	for range signTries {
		walked, err := s.walkAudit(ctx, sc)
		if err != nil || sign.trusts(sc, walked) {
			return err
		}
		err = s.write(ctx, func(ctx context.Context, q *querier) error {
			head, err := q.lockChain(ctx, sc)
			if err != nil {
				return err
			}
			if head != walked { // it grew meanwhile
				return errRetry
			}
			if err := q.signHead(ctx, sc, head); err != nil {
				return err
			}
			_, err = q.note(ctx, sc, e)
			return err
		})
		if !errors.Is(err, errRetry) {
			return err
		}
	}
	return unavailable(errRetry)
}

func (q *querier) signHead(ctx context.Context, sc consult.Scope, head chainHead) error {
	_, err := q.exec(ctx, `UPDATE scopes SET audit_mac = $1 WHERE account_id = $2 AND mode = $3`,
		q.signer.sign(sc, head), sc.AccountID, sc.Mode)
	return err
}

func (s *signer) sign(sc consult.Scope, head chainHead) string {
	if s == nil {
		return ""
	}
	return mac(s.keys[0], sc, head)
}

// trusts reports whether the head carries a signature of ours. It logs a head
// that does not, once.
func (s *signer) trusts(sc consult.Scope, head chainHead) bool {
	if s == nil || s.valid(sc, head) {
		return true
	}
	if _, told := s.told.LoadOrStore(sc, true); !told {
		s.log.Error("an audit chain does not carry this server's signature: run chatmed audit verify",
			"account", sc.AccountID, "mode", sc.Mode, "entries", head.seq)
	}
	return false
}

func (s *signer) valid(sc consult.Scope, head chainHead) bool {
	for _, key := range s.keys {
		if hmac.Equal([]byte(mac(key, sc, head)), []byte(head.mac)) {
			return true
		}
	}
	return false
}

// old reports whether the head is signed, but not under the current key.
func (s *signer) old(sc consult.Scope, head chainHead) bool {
	return !hmac.Equal([]byte(s.sign(sc, head)), []byte(head.mac)) && s.valid(sc, head)
}

// mac is HMAC-SHA-256 over the scope and its head, each text preceded by its
// length, in lower-case hexadecimal.
func mac(key []byte, sc consult.Scope, head chainHead) string {
	h := hmac.New(sha256.New, key)
	var b []byte
	for _, text := range []string{headFormat, sc.AccountID, string(sc.Mode), head.hash} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
	}
	h.Write(binary.BigEndian.AppendUint64(b, uint64(head.seq)))
	return hex.EncodeToString(h.Sum(nil))
}
