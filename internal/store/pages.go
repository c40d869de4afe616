package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/chatmed/chatmed/internal/consult"
)

// filter is the WHERE clause of a list, built from what is asked for, so that
// each combination can use its own index.
type filter struct {
	clauses []string
	args    []any
}

// newFilter begins with the account; prefix is the alias of its table, with
// its dot.
func newFilter(prefix, accountID string) *filter {
	f := &filter{}
	f.add(prefix+`account_id = `, accountID)
	return f
}

// scoped begins with the account and the mode.
func scoped(sc consult.Scope) *filter {
	f := newFilter(``, sc.AccountID)
	f.add(`mode = `, sc.Mode)
	return f
}

// add appends condition with the placeholder of v after it.
func (f *filter) add(condition string, v any) {
	f.args = append(f.args, v)
	f.clauses = append(f.clauses, condition+`$`+strconv.Itoa(len(f.args)))
}

// addText appends condition unless v, the value asked for, is empty.
func (f *filter) addText(condition, v string) {
	if v != "" {
		f.add(condition, v)
	}
}

func (f *filter) where() string { return ` WHERE ` + strings.Join(f.clauses, ` AND `) }

// direction is the order of a list.
type direction struct{ order, after string }

var (
	ascending  = direction{` ASC`, `>`}
	descending = direction{` DESC`, `<`}
)

// keyset reads one page of a collection ordered by a time and, among equals,
// the id: the rows after the cursor's place, which need not exist any more. Rows
// that come or go meanwhile neither repeat nor hide others.
func keyset[T any](ctx context.Context, s *Store, p consult.Page, f *filter, query, at, id string, d direction,
	scan func(scanner, *T) error, place func(*T) consult.Cursor,
) (items []T, next string, err error) {
	after, limit, err := p.Read()
	if err != nil {
		return nil, "", err
	}
	query, args := keysetQuery(f, query, at, id, d, after, limit)
	err = s.read(ctx, func(ctx context.Context, q *querier) error {
		var err error
		items, err = list(ctx, q, scan, query, args...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	items, next = consult.NextCursor(items, limit, place)
	return items, next, nil
}

func keysetQuery(f *filter, query, at, id string, d direction, after *consult.Cursor, limit int) (string, []any) {
	g := filter{clauses: append([]string(nil), f.clauses...), args: append([]any(nil), f.args...)}
	if after != nil {
		n := len(g.args)
		g.clauses = append(g.clauses, `(`+at+`, `+id+`) `+d.after+` ($`+strconv.Itoa(n+1)+`, $`+strconv.Itoa(n+2)+`)`)
		g.args = append(g.args, micros(after.At), after.ID)
	}
	g.args = append(g.args, limit+1)
	return query + g.where() + ` ORDER BY ` + at + d.order + `, ` + id + d.order + ` LIMIT $` + strconv.Itoa(len(g.args)), g.args
}

// Consultations lists consultations, newest first, and the cursor of the next
// page.
func (s *Store) Consultations(ctx context.Context, sc consult.Scope, cf consult.ConsultationFilter, p consult.Page) (items []consult.Consultation, next string, err error) {
	return keyset(ctx, s, p, consultationFilter(sc, cf), `SELECT `+consultationColumns+` FROM consultations`,
		`created_at`, `id`, descending, scanConsultation,
		func(c *consult.Consultation) consult.Cursor { return consult.Cursor{At: c.CreatedAt, ID: c.ID} })
}

func consultationFilter(sc consult.Scope, cf consult.ConsultationFilter) *filter {
	f := scoped(sc)
	f.addText(`doctor_id = `, cf.DoctorID)
	f.addText(`patient_id = `, cf.PatientID)
	f.addText(`status = `, string(cf.Status))
	if cf.From != nil {
		f.add(`created_at >= `, micros(*cf.From))
	}
	if cf.To != nil {
		f.add(`created_at < `, micros(*cf.To))
	}
	return f
}

// Tickets lists tickets, newest first, and the cursor of the next page.
func (s *Store) Tickets(ctx context.Context, sc consult.Scope, tf consult.TicketFilter, p consult.Page) (items []consult.Ticket, next string, err error) {
	return keyset(ctx, s, p, ticketFilter(sc, tf), `SELECT `+ticketColumns+` FROM tickets`,
		`joined_at`, `id`, descending, scanTicket,
		func(t *consult.Ticket) consult.Cursor { return consult.Cursor{At: t.JoinedAt, ID: t.ID} })
}

func ticketFilter(sc consult.Scope, tf consult.TicketFilter) *filter {
	f := scoped(sc)
	f.addText(`session_id = `, tf.SessionID)
	f.addText(`doctor_id = `, tf.DoctorID)
	f.addText(`patient_id = `, tf.PatientID)
	f.addText(`status = `, string(tf.Status))
	return f
}

// ParticipationPage lists who was or is in the consultation, in the order in
// which they joined, and the cursor of the next page.
func (s *Store) ParticipationPage(ctx context.Context, sc consult.Scope, sessionID string, p consult.Page) (items []consult.Participation, next string, err error) {
	f := scoped(sc)
	f.add(`session_id = `, sessionID)
	return keyset(ctx, s, p, f, `SELECT `+participationColumns+` FROM participations`,
		`joined_at`, `id`, ascending, scanParticipation,
		func(p *consult.Participation) consult.Cursor { return consult.Cursor{At: p.JoinedAt, ID: p.ID} })
}
