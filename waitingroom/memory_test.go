package waitingroom

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// memory is a store for tests of concurrency, where a real database would be
// the bottleneck that keeps races from happening. It is as strict as SQL: each
// call is one transaction, and rows are copied in and out.
type memory struct {
	DeskStore     // nil: not for these tests
	PresenceStore // nil: not for these tests

	mu            sync.Mutex
	consultations map[string]consult.Consultation
	tickets       map[string]consult.Ticket
}

func newMemory() *memory {
	return &memory{consultations: make(map[string]consult.Consultation), tickets: make(map[string]consult.Ticket)}
}

func missing(what string) error {
	return consult.Errorf(consult.NotFound, "", "The %s does not exist.", what)
}

func (m *memory) CreateConsultation(_ context.Context, c *consult.Consultation, _ []consult.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.consultations[c.ID] = *c
	return nil
}

func (m *memory) Consultation(_ context.Context, sc consult.Scope, id string) (*consult.Consultation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.consultations[id]
	if !ok || c.Scope != sc {
		return nil, missing("consultation")
	}
	return &c, nil
}

func (m *memory) UpdateConsultation(_ context.Context, sc consult.Scope, id string,
	change func(*consult.Consultation) ([]consult.Event, error),
) (*consult.Consultation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.consultations[id]
	if !ok || c.Scope != sc {
		return nil, missing("consultation")
	}
	ev, err := change(&c)
	if err != nil {
		return nil, err
	}
	if len(ev) > 0 {
		m.consultations[id] = c
	}
	return &c, nil
}

func (m *memory) FindOpenConsultation(_ context.Context, sc consult.Scope, doctorID, patientID string, now time.Time) (*consult.Consultation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found *consult.Consultation
	for _, c := range m.consultations {
		if c.Scope == sc && c.DoctorID == doctorID && c.PatientID == patientID && !c.Status.Final() && !c.Expired(now) &&
			(found == nil || c.ID > found.ID) {
			found = &c
		}
	}
	if found == nil {
		return nil, missing("consultation")
	}
	return found, nil
}

func (m *memory) UnfinishedConsultations(context.Context, consult.Scope, string, int) ([]consult.Consultation, error) {
	return nil, nil
}

func (m *memory) Scopes(context.Context) ([]consult.Scope, error) { return []consult.Scope{scope}, nil }

func (m *memory) CreateTicket(_ context.Context, t *consult.Ticket, _ []consult.Event) (*consult.Ticket, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.tickets {
		if o.Scope == t.Scope && o.DoctorID == t.DoctorID && o.PatientID == t.PatientID && o.Status.Open() {
			return &o, false, nil
		}
	}
	got := *t
	m.tickets[t.ID] = got
	return &got, true, nil
}

func (m *memory) UpdateTicket(_ context.Context, sc consult.Scope, id string,
	change func(*consult.Ticket, *consult.Consultation) ([]consult.Event, error),
) (*consult.Ticket, *consult.Consultation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tickets[id]
	if !ok || t.Scope != sc {
		return nil, nil, missing("ticket")
	}
	c := m.consultations[t.SessionID]
	ev, err := change(&t, &c)
	if err != nil {
		return nil, nil, err
	}
	if len(ev) > 0 {
		t.Version++
		m.tickets[id], m.consultations[c.ID] = t, c
	}
	return &t, &c, nil
}

func (m *memory) Ticket(_ context.Context, sc consult.Scope, id string) (*consult.Ticket, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tickets[id]
	if !ok || t.Scope != sc {
		return nil, missing("ticket")
	}
	return &t, nil
}

// where lists tickets by rank, then id.
func (m *memory) where(keep func(*consult.Ticket) bool) []consult.Ticket {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := slices.DeleteFunc(slices.Collect(maps.Values(m.tickets)), func(t consult.Ticket) bool { return !keep(&t) })
	slices.SortFunc(out, func(a, b consult.Ticket) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func (m *memory) TicketBySession(_ context.Context, sc consult.Scope, sessionID string) (*consult.Ticket, error) {
	all := m.where(func(t *consult.Ticket) bool { return t.Scope == sc && t.SessionID == sessionID })
	if len(all) == 0 {
		return nil, missing("ticket")
	}
	newest := slices.MaxFunc(all, func(a, b consult.Ticket) int { return cmp.Compare(a.ID, b.ID) })
	return &newest, nil
}

func (m *memory) OpenTickets(_ context.Context, sc consult.Scope, doctorID string) ([]consult.Ticket, error) {
	return m.where(func(t *consult.Ticket) bool { return t.Scope == sc && t.DoctorID == doctorID && t.Status.Open() }), nil
}

func (m *memory) AwayTickets(_ context.Context, sc consult.Scope, before time.Time) ([]consult.Ticket, error) {
	return m.where(func(t *consult.Ticket) bool {
		return t.Scope == sc && t.Status == consult.TicketAway && !t.AwayAt.After(before)
	}), nil
}

func (m *memory) ConsultationLengths(context.Context, consult.Scope, string, int) ([]time.Duration, error) {
	return nil, nil
}
