package consult

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Bounds of a page.
const (
	DefaultPageLimit = 20
	MaxPageLimit     = 100
	maxCursor        = 300
)

// Page is which part of a collection is asked for: Limit items (1 to 100, 0
// for 20) after the opaque cursor After, "" for the first.
type Page struct {
	After string
	Limit int
}

// ConsultationFilter narrows a list of consultations; an empty field is any.
// From and To bound CreatedAt: [From, To).
type ConsultationFilter struct {
	DoctorID, PatientID string
	Status              Status
	From, To            *time.Time
}

// TicketFilter narrows a list of tickets; an empty field is any.
type TicketFilter struct {
	DoctorID, PatientID, SessionID string
	Status                         TicketStatus
}

// Cursor is the place of an item in a collection ordered by time, then id.
type Cursor struct {
	At time.Time // to the microsecond, as it is stored
	ID string
}

// String is the cursor as callers carry it: nothing they should read or make.
func (c Cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.At.UnixMicro(), 10) + " " + c.ID))
}

// Read returns the page's cursor, nil for the first page, and its size. What
// is no cursor of ours, or no size of a page, is a BadRequest naming the field.
func (p Page) Read() (after *Cursor, limit int, err error) {
	limit = p.Limit
	if limit == 0 {
		limit = DefaultPageLimit
	}
	if limit < 1 || limit > MaxPageLimit {
		return nil, 0, badPage("limit", "must be 1 to 100", "")
	}
	if p.After == "" {
		return nil, limit, nil
	}
	c, ok := parseCursor(p.After)
	if !ok {
		return nil, 0, badPage("after", "is not a cursor of this collection", ReasonCursor)
	}
	return &c, limit, nil
}

func parseCursor(s string) (Cursor, bool) {
	if len(s) > maxCursor || strings.ContainsAny(s, "\r\n") {
		return Cursor{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return Cursor{}, false
	}
	at, id, ok := strings.Cut(string(raw), " ")
	n, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || !ValidExternalID(id) {
		return Cursor{}, false
	}
	c := Cursor{At: time.UnixMicro(n).UTC(), ID: id}
	return c, c.String() == s // one spelling each
}

func badPage(field, message, reason string) error {
	return &Error{
		Code: BadRequest, Reason: reason, Message: "The page asked for does not exist.",
		Fields: []FieldError{{Field: field, Message: message}},
	}
}

// NextCursor is the cursor of the page after items, which were read with a
// limit one larger than size to see whether there are more; it returns at most
// size of them.
func NextCursor[T any](items []T, size int, place func(*T) Cursor) ([]T, string) {
	if len(items) <= size {
		return items, ""
	}
	items = items[:size]
	return items, place(&items[size-1]).String()
}
