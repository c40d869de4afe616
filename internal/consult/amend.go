package consult

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a consultation's metadata.
const (
	MaxMetadata      = 50
	MaxMetadataKey   = 40  // bytes
	MaxMetadataValue = 500 // characters
)

// Extend moves expires_at to until, earlier or later. A consultation that is
// over is a Conflict; a time that has passed, or is more than 366 days away, a
// ValidationError.
func (s *Service) Extend(ctx context.Context, sc Scope, id string, actor Actor, until time.Time) (*Consultation, error) {
	until = until.UTC().Truncate(time.Microsecond)
	if _, err := s.Get(ctx, sc, id); err != nil { // cancels what has expired
		return nil, err
	}
	return s.change(ctx, sc, id, EventConsultationExtended, actor, func(c *Consultation, now time.Time) (bool, error) {
		field := ""
		switch {
		case c.Status.Final():
			return false, c.finalError()
		case !until.After(now):
			field = "must be in the future"
		case until.After(now.Add(MaxScheduleAhead)):
			field = "must be within 366 days"
		case until.Equal(c.ExpiresAt):
			return false, nil
		}
		if field != "" {
			return false, &Error{
				Code: ValidationError, Message: "The consultation cannot be extended to that time.",
				Fields: []FieldError{{Field: "expires_at", Message: field}},
			}
		}
		c.ExpiresAt = until
		return true, nil
	})
}

// SetMetadata merges m into the consultation's metadata; an empty value removes
// its key. It works in every state. Anything out of bounds is a ValidationError
// that names each key.
func (s *Service) SetMetadata(ctx context.Context, sc Scope, id string, actor Actor, m map[string]string) (*Consultation, error) {
	return s.change(ctx, sc, id, EventConsultationUpdated, actor, func(c *Consultation, _ time.Time) (bool, error) {
		merged, fields := mergeMetadata(c.Metadata, m)
		if len(fields) > 0 {
			return false, &Error{Code: ValidationError, Message: "The metadata is not valid.", Fields: fields}
		}
		if maps.Equal(merged, c.Metadata) {
			return false, nil
		}
		c.Metadata = merged
		return true, nil
	})
}

// mergeMetadata returns a new map, nil when it is empty, and what is wrong with
// change.
func mergeMetadata(current, change map[string]string) (map[string]string, []FieldError) {
	var wrong []FieldError
	out := maps.Clone(current)
	if out == nil {
		out = make(map[string]string)
	}
	for _, k := range slices.Sorted(maps.Keys(change)) {
		v := change[k]
		switch {
		case !validMetadataKey(k):
			wrong = append(wrong, FieldError{"metadata", "keys must be 1 to 40 letters, digits or _.-"})
		case !utf8.ValidString(v) || strings.ContainsRune(v, 0) || utf8.RuneCountInString(v) > MaxMetadataValue:
			wrong = append(wrong, FieldError{"metadata." + k, fmt.Sprintf("must be at most %d characters", MaxMetadataValue)})
		case v == "":
			delete(out, k)
		default:
			out[k] = v
		}
	}
	if len(out) > MaxMetadata {
		wrong = append(wrong, FieldError{"metadata", fmt.Sprintf("must have at most %d entries", MaxMetadata)})
	}
	if len(out) == 0 {
		out = nil
	}
	return out, wrong
}

func validMetadataKey(k string) bool {
	return k != "" && len(k) <= MaxMetadataKey &&
		strings.Trim(k, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == ""
}

// EndOfKey ends every active consultation that a key created and cancels the
// waiting ones, and returns how many. It is what a revocation with its calls
// asks for; calls of other keys go on.
func (s *Service) EndOfKey(ctx context.Context, sc Scope, keyID string, actor Actor) (n int, err error) {
	for after := ""; ; {
		page, err := s.store.UnfinishedConsultations(ctx, sc, after, sweepPage)
		if err != nil {
			return n, err
		}
		for i := range page {
			c := &page[i]
			after = c.ID
			if c.KeyID != keyID {
				continue
			}
			if c.Status == Active {
				_, err = s.End(ctx, sc, c.ID, actor, EndedByAPI)
			} else if _, err = s.Cancel(ctx, sc, c.ID, actor, CancelledByCaller); HasCode(err, Conflict) { // it has just started
				_, err = s.End(ctx, sc, c.ID, actor, EndedByAPI)
			}
			if err != nil && !HasCode(err, Conflict) {
				return n, err
			}
			n++
		}
		if len(page) < sweepPage {
			return n, nil
		}
	}
}
