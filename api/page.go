package api

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
)

// pageBody is a page of a collection. NextCursor is null on the last one.
type pageBody[T any] struct {
	Data       []T     `json:"data"`
	HasMore    bool    `json:"has_more"`
	NextCursor *string `json:"next_cursor"`
}

// page reads limit and cursor. A cursor counts only for the account, mode,
// operation and filters it was made for; anything else is a 400.
func (s *server) page(r *request) (consult.Page, error) {
	p := consult.Page{Limit: consult.DefaultPageLimit}
	if v, ok := r.params["limit"]; ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			return p, err // the schema has let it through
		}
		p.Limit = n
	}
	v, ok := r.params["cursor"]
	if !ok {
		return p, nil
	}
	after, ok := s.openCursor(v, r.cursorContext())
	if !ok {
		return p, badCursor()
	}
	p.After = after
	return p, nil
}

func badCursor() error {
	return &consult.Error{
		Code: consult.BadRequest, Reason: consult.ReasonCursor, Message: "Missing or invalid request parameters.",
		Fields: []consult.FieldError{{Field: "cursor", Message: "must be the next_cursor of the same list with the same filters"}},
	}
}

// cursorContext is what a cursor is bound to: everything that chooses the items
// and their order.
func (r *request) cursorContext() string {
	var b strings.Builder
	b.WriteString(r.key.Scope.AccountID + " " + string(r.key.Scope.Mode) + " " + r.op.id)
	for _, name := range slices.Sorted(maps.Keys(r.params)) {
		if name != "limit" && name != "cursor" {
			b.WriteString("\n" + name + "=" + r.params[name])
		}
	}
	return b.String()
}

func (s *server) sealCursor(after, context string) string {
	return base64.RawURLEncoding.EncodeToString(append(s.sealer.sign(after, context), after...))
}

func (s *server) openCursor(cursor, context string) (after string, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	// Go's base64 skips line breaks even when strict.
	if err != nil || len(raw) <= macSize || strings.ContainsAny(cursor, "\r\n") {
		return "", false
	}
	after = string(raw[macSize:])
	return after, s.sealer.signed(after, context, raw[:macSize])
}

// pageOf is a page of what show makes of items; next is the service's own
// cursor, "" on the last page.
func pageOf[T, V any](s *server, r *request, items []T, next string, show func(*T) V) pageBody[V] {
	b := pageBody[V]{Data: make([]V, 0, len(items)), HasMore: next != ""}
	for i := range items {
		b.Data = append(b.Data, show(&items[i]))
	}
	if next != "" {
		cursor := s.sealCursor(next, r.cursorContext())
		b.NextCursor = &cursor
	}
	return b
}

// cut is the page p of a collection that is read whole; id names its items,
// which keep their order and stay.
func cut[T any](all []T, p consult.Page, id func(*T) string) (items []T, next string, err error) {
	start := 0
	if p.After != "" {
		i := slices.IndexFunc(all, func(v T) bool { return id(&v) == p.After })
		if i < 0 {
			return nil, "", badCursor()
		}
		start = i + 1
	}
	items = all[start:]
	if len(items) > p.Limit {
		items = items[:p.Limit]
		next = id(&items[p.Limit-1])
	}
	return items, next, nil
}
