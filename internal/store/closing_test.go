package store_test

import (
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

func TestAFinalStatusClosesWhatIsOpen(t *testing.T) {
	cases := []struct {
		status consult.Status
		reason string
		want   consult.TicketStatus
	}{
		{consult.Cancelled, consult.CancelledByCaller, consult.TicketLeft},
		{consult.Cancelled, consult.CancelledByExpiry, consult.TicketExpired},
		{consult.Cancelled, consult.CancelledByDecline, consult.TicketDeclined},
		{consult.Ended, consult.EndedByDoctor, consult.TicketAdmitted},
		{consult.Ended, consult.EndedByAbsence, consult.TicketAdmitted},
	}
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		for _, tc := range cases {
			c := addConsultation(t, s, sc, "doc", "pat_"+tc.reason)
			other := addTicket(t, s, addConsultation(t, s, sc, "doc", "bystander_"+tc.reason))
			tk := addTicket(t, s, c)
			here, gone := addParticipation(t, s, c, consult.Doctor), addParticipation(t, s, c, consult.Patient)
			must(t, s.LeaveParticipation(t.Context(), sc, gone.ID, base, []consult.Event{event(sc, consult.EventParticipantLeft, c.ID)}))

			over := base.Add(time.Hour)
			_, err := end(t.Context(), s, c, tc.status, tc.reason, over)
			must(t, err)

			got, err := s.Ticket(t.Context(), sc, tk.ID)
			must(t, err)
			if got.Status != tc.want || got.ClosedAt == nil || !got.ClosedAt.Equal(over) || got.Version != 2 {
				t.Errorf("%s: ticket %+v", tc.reason, got)
			}
			all, err := s.Participations(t.Context(), sc, c.ID)
			must(t, err)
			for _, p := range all {
				want := map[string]time.Time{here.ID: over, gone.ID: base}[p.ID]
				if p.LeftAt == nil || !p.LeftAt.Equal(want) {
					t.Errorf("%s: %s left at %v, want %v", tc.reason, p.Role, p.LeftAt, want)
				}
			}
			same(t, eventTypes(t, s, c.ID), []string{
				"consultation.created", "waiting_room.queued", "participant.joined", "participant.joined", "participant.left",
				"consultation." + string(tc.status), string(consult.TicketEvent(tc.want)), "participant.left",
			})
			if got, err = s.Ticket(t.Context(), sc, other.ID); err != nil || !got.Status.Open() {
				t.Errorf("%s: another consultation's ticket is %+v, error %v", tc.reason, got, err)
			}

			// Nobody comes to what is over.
			_, _, err = s.CreateTicket(t.Context(), newTicket(c), nil)
			wantCode(t, err, consult.Conflict)
			wantCode(t, s.JoinParticipation(t.Context(), newParticipation(c, consult.Guest), nil), consult.Conflict)
		}
	})
}

func TestDecliningATicketClosesItsConsultation(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store.Store, sc consult.Scope) {
		c := addConsultation(t, s, sc, "doc", "pat")
		tk := addTicket(t, s, c)
		p := addParticipation(t, s, c, consult.Patient)
		got, over, err := s.UpdateTicket(t.Context(), sc, tk.ID, func(tk *consult.Ticket, c *consult.Consultation) ([]consult.Event, error) {
			tk.Status, tk.ClosedAt = consult.TicketDeclined, at(time.Minute)
			c.Status, c.Reason, c.EndedAt = consult.Cancelled, consult.CancelledByDecline, at(time.Minute)
			return []consult.Event{
				event(sc, consult.EventConsultationCancelled, c.ID), event(sc, consult.EventTicketDeclined, c.ID),
			}, nil
		})
		must(t, err)
		if got.Status != consult.TicketDeclined || got.Version != 2 || over.Status != consult.Cancelled {
			t.Errorf("ticket %+v, consultation %+v", got, over)
		}
		all, err := s.Participations(t.Context(), sc, c.ID)
		must(t, err)
		if len(all) != 1 || all[0].ID != p.ID || all[0].LeftAt == nil {
			t.Errorf("participations %+v", all)
		}
		same(t, eventTypes(t, s, c.ID), []string{
			"consultation.created", "waiting_room.queued", "participant.joined",
			"consultation.cancelled", "waiting_room.declined", "participant.left",
		})
	})
}
