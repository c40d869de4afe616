package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	headerIdempotency = "Idempotency-Key"
	headerReplayed    = "Idempotent-Replayed"

	maxIdempotencyKey = 255
	// idempotencyLife is how long an answer is kept.
	idempotencyLife = 24 * time.Hour
	// idempotencyWait is how long a duplicate waits for the first request to
	// finish before it is told to come back; leaseMargin how much longer than
	// its deadline the first one may take to write its answer down.
	idempotencyWait = 5 * time.Second
	leaseMargin     = 10 * time.Second
	pollFirst       = 20 * time.Millisecond
	pollMax         = 250 * time.Millisecond
	finishTimeout   = 5 * time.Second
)

// idempotencyKey is the request's key; ok is false without one.
func idempotencyKey(h http.Header) (key string, ok bool, err error) {
	values := h.Values(headerIdempotency)
	if len(values) == 0 {
		return "", false, nil
	}
	if len(values) > 1 || !saneIdempotencyKey(values[0]) {
		return "", false, &consult.Error{
			Code: consult.BadRequest, Message: "Missing or invalid request parameters.",
			Fields: []consult.FieldError{{Field: headerIdempotency, Message: "must be given once, 1 to 255 printable ASCII characters without spaces"}},
		}
	}
	return values[0], true, nil
}

func saneIdempotencyKey(key string) bool {
	if key == "" || len(key) > maxIdempotencyKey {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}

// record is the request as the store remembers it. Keys belong to an account,
// mode and operation; the hash covers what the caller asked for: the path's and
// query's parameters and the documented fields of the body. The store sees the
// caller's key only as a hash, since nobody knows what integrators put there.
func (s *server) record(r *request, key string) (consult.IdempotencyRecord, error) {
	params, err := json.Marshal(r.params)
	if err != nil {
		return consult.IdempotencyRecord{}, err
	}
	asked := sha256.Sum256(fmt.Appendf(nil, "%d %s%s", len(params), params, r.body))
	name := sha256.Sum256([]byte(r.op.id + " " + key))
	subject, err := r.subject()
	return consult.IdempotencyRecord{
		Scope: r.key.Scope, Key: hex.EncodeToString(name[:]), OperationID: r.op.id, BodyHash: asked[:],
		Owner: consult.NewID(consult.PrefixRequest), Subject: subject,
	}, err
}

// nobody is the subject of an answer about no patient: no patient of ours has
// this id, and erasing one who had would only cost a replay.
const nobody = "~"

// subject is the patient the answer is about; "" when that is not known here.
func (r *request) subject() (string, error) {
	if r.op.scope == consult.ScopeAdmin {
		return nobody, nil // keys
	}
	var b struct {
		PatientID string `json:"patient_id"`
	}
	err := r.decode(&b)
	return b.PatientID, err
}

// once runs h for the first request of an Idempotency-Key and replays its
// answer to every later one.
func (s *server) once(c *gin.Context, h handler, key string) {
	ctx, r := c.Request.Context(), requestOf(c)
	rec, err := s.record(r, key)
	if err != nil {
		s.fail(c, err)
		return
	}
	earlier, err := s.claim(ctx, &rec)
	if err != nil {
		if consult.HasCode(err, consult.Conflict) {
			c.Header("Retry-After", "1")
		}
		s.fail(c, err)
		return
	}
	if earlier != nil {
		s.replay(c, earlier)
		return
	}
	settled := false
	defer func() { // after a panic too
		if !settled {
			s.abandon(ctx, &rec)
		}
	}()
	out, err := h(ctx, r)
	status, body := http.StatusOK, out
	if err != nil {
		e := s.callerError(ctx, err)
		status, body = e.Code.Status(), errorBody{Error: e.Code, Message: e.Message, Code: e.Code.Status(), Reason: e.Reason, Fields: e.Fields}
		if !keeps(status) {
			s.fail(c, err)
			return
		}
	}
	data, encodeErr := encode(body)
	if encodeErr != nil {
		s.fail(c, encodeErr)
		return
	}
	settled = true // the effect stands, so the key must not become free again
	s.finish(ctx, &rec, status, data)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.respond(c, status, document{contentType: contentTypeJSON, data: data})
}

// keeps reports whether an answer is final: repeating the request would not
// help. What went wrong on our side, or only for now, may be tried again.
func keeps(status int) bool {
	return status < http.StatusInternalServerError && status != http.StatusTooManyRequests && status != http.StatusUnauthorized
}

// claim returns nil when this request is the first and now holds the key, or
// the finished record of an earlier one. While an earlier one is under way it
// waits, for at most idempotencyWait.
func (s *server) claim(ctx context.Context, rec *consult.IdempotencyRecord) (*consult.IdempotencyRecord, error) {
	deadline := time.NewTimer(idempotencyWait)
	defer deadline.Stop()
	for pause := pollFirst; ; pause = min(2*pause, pollMax) {
		now := s.Now().UTC()
		rec.CreatedAt, rec.ExpiresAt, rec.LeaseUntil = now, now.Add(idempotencyLife), now.Add(s.timeout+leaseMargin)
		earlier, err := s.Idempotency.BeginIdempotent(ctx, *rec)
		switch {
		case err != nil || earlier == nil:
			return nil, err
		case !bytes.Equal(earlier.BodyHash, rec.BodyHash):
			return nil, consult.Errorf(consult.ValidationError, consult.ReasonIdempotencyMismatch,
				"This Idempotency-Key was used for a request with other parameters or another body.")
		case earlier.Done:
			return earlier, nil
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-deadline.C:
			wait.Stop()
			return nil, consult.Errorf(consult.Conflict, consult.ReasonIdempotencyInProgress,
				"A request with this Idempotency-Key is still being processed.")
		case <-ctx.Done():
			wait.Stop()
			return nil, ctx.Err()
		}
	}
}

// replay gives an earlier answer again. The request_id of an error is this
// request's own, as in its header.
func (s *server) replay(c *gin.Context, rec *consult.IdempotencyRecord) {
	data, err := s.sealer.open(rec.Body, rec.Key)
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Header(headerReplayed, "true")
	if rec.Status == http.StatusOK {
		s.respond(c, rec.Status, document{contentType: contentTypeJSON, data: data})
		return
	}
	var e errorBody
	if err := json.Unmarshal(data, &e); err != nil {
		s.fail(c, fmt.Errorf("stored answer: %w", err))
		return
	}
	s.fail(c, &consult.Error{Code: e.Error, Reason: e.Reason, Message: e.Message, Fields: e.Fields})
}

// finish and abandon outlive a caller who has gone: others may ask again.
func (s *server) finish(ctx context.Context, rec *consult.IdempotencyRecord, status int, data []byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	err := s.Idempotency.FinishIdempotent(ctx, rec.Scope, rec.Key, rec.Owner, status, s.sealer.seal(data, rec.Key))
	if err != nil { // until the lease ends, duplicates get 409
		s.Log.LogAttrs(ctx, slog.LevelError, "answer not kept for its Idempotency-Key",
			slog.String("operation", rec.OperationID), slog.Any("err", err))
	}
}

func (s *server) abandon(ctx context.Context, rec *consult.IdempotencyRecord) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if err := s.Idempotency.AbandonIdempotent(ctx, rec.Scope, rec.Key, rec.Owner); err != nil {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "Idempotency-Key not set free",
			slog.String("operation", rec.OperationID), slog.Any("err", err))
	}
}
