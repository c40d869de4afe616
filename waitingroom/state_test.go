package waitingroom

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestTransitions(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	all := []consult.TicketStatus{
		consult.TicketQueued, consult.TicketReady, consult.TicketAway, consult.TicketAdmitted,
		consult.TicketLeft, consult.TicketDeclined, consult.TicketTransferred, consult.TicketExpired,
	}
	const same, refused = consult.TicketStatus("same"), consult.TicketStatus("refused")
	// One column per status of all.
	tests := []struct {
		name string
		do   func(*consult.Ticket, *consult.Consultation) (bool, error)
		want []consult.TicketStatus
	}{
		{
			"present", func(t *consult.Ticket, _ *consult.Consultation) (bool, error) { return present(t, now) },
			[]consult.TicketStatus{consult.TicketReady, same, consult.TicketReady, same, refused, refused, refused, refused},
		},
		{
			"away", func(t *consult.Ticket, _ *consult.Consultation) (bool, error) { return away(t, now) },
			[]consult.TicketStatus{same, consult.TicketAway, same, same, refused, refused, refused, refused},
		},
		{
			"admit", func(t *consult.Ticket, c *consult.Consultation) (bool, error) { return admit(t, c, now) },
			[]consult.TicketStatus{consult.TicketAdmitted, consult.TicketAdmitted, consult.TicketAdmitted, same, refused, refused, refused, refused},
		},
		{
			"leave", func(t *consult.Ticket, _ *consult.Consultation) (bool, error) { return leave(t, now) },
			[]consult.TicketStatus{consult.TicketLeft, consult.TicketLeft, consult.TicketLeft, refused, same, refused, refused, refused},
		},
		{
			"decline", func(t *consult.Ticket, c *consult.Consultation) (bool, error) { return decline(t, c, now) },
			[]consult.TicketStatus{consult.TicketDeclined, consult.TicketDeclined, consult.TicketDeclined, refused, refused, same, refused, refused},
		},
		{
			"rejoin", func(t *consult.Ticket, _ *consult.Consultation) (bool, error) {
				return rejoin(t, &JoinRequest{Reason: ""})
			},
			[]consult.TicketStatus{same, same, same, same, refused, refused, refused, refused},
		},
	}
	for _, tt := range tests {
		for i, from := range all {
			t.Run(tt.name+" from "+string(from), func(t *testing.T) {
				tk := &consult.Ticket{Status: from}
				if from == consult.TicketAway {
					tk.AwayAt = &now
				}
				before := *tk
				c := &consult.Consultation{Status: consult.Waiting, ExpiresAt: now.Add(time.Hour)}
				changed, err := tt.do(tk, c)
				switch tt.want[i] {
				case refused:
					wantConflict(t, err, consult.ReasonTicketClosed)
					if !reflect.DeepEqual(*tk, before) {
						t.Errorf("refused, but changed: %+v", tk)
					}
				case same:
					if err != nil || changed || !reflect.DeepEqual(*tk, before) {
						t.Errorf("changed %v, err %v, ticket %+v", changed, err, tk)
					}
				default:
					if err != nil || !changed || tk.Status != tt.want[i] {
						t.Errorf("changed %v, err %v, status %s", changed, err, tk.Status)
					}
					checkTimes(t, tk, c)
				}
			})
		}
	}
}

// checkTimes checks that the times of a ticket agree with its status.
func checkTimes(t *testing.T, tk *consult.Ticket, c *consult.Consultation) {
	t.Helper()
	if (tk.AwayAt != nil) != (tk.Status == consult.TicketAway) {
		t.Errorf("%s with away time %v", tk.Status, tk.AwayAt)
	}
	if tk.Status == consult.TicketReady && tk.ReadyAt == nil {
		t.Error("ready without its time")
	}
	if tk.Status == consult.TicketAdmitted && (tk.AdmittedAt == nil || c.AdmittedAt == nil) {
		t.Error("admitted without its time")
	}
	if !tk.Status.Open() && tk.Status != consult.TicketAdmitted && tk.ClosedAt == nil {
		t.Error("closed without its time")
	}
	if tk.Status == consult.TicketDeclined && (c.Status != consult.Cancelled || c.Reason != consult.CancelledByDecline || c.TokenEpoch != 1) {
		t.Errorf("declined, but the consultation is %+v", c)
	}
}

func TestAdmitNeedsAConsultationThatWaits(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		c      consult.Consultation
		reason string
	}{
		{"cancelled", consult.Consultation{Status: consult.Cancelled, ExpiresAt: now.Add(time.Hour)}, consult.ReasonCancelled},
		{"ended", consult.Consultation{Status: consult.Ended, ExpiresAt: now.Add(time.Hour)}, consult.ReasonEnded},
		{"expired", consult.Consultation{Status: consult.Waiting, ExpiresAt: now}, consult.ReasonCancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tk := &consult.Ticket{Status: consult.TicketReady}
			_, err := admit(tk, &tt.c, now)
			wantConflict(t, err, tt.reason)
			if tk.Status != consult.TicketReady {
				t.Errorf("ticket is %s", tk.Status)
			}
			wantConflict(t, joinable(&tt.c, now), tt.reason)
		})
	}
	wantConflict(t, joinable(&consult.Consultation{Status: consult.Active}, now), consult.ReasonNotWaiting)
	if err := joinable(&consult.Consultation{Status: consult.Waiting, ExpiresAt: now.Add(1)}, now); err != nil {
		t.Errorf("a waiting consultation: %v", err)
	}
}

func TestExpire(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	early, late := now.Add(-time.Minute), now.Add(time.Minute)
	for _, tt := range []struct {
		status consult.TicketStatus
		since  *time.Time
		want   bool
	}{
		{consult.TicketAway, &early, true},
		{consult.TicketAway, &now, true},
		{consult.TicketAway, &late, false}, // came back and dropped again
		{consult.TicketReady, nil, false},
		{consult.TicketAdmitted, nil, false},
		{consult.TicketLeft, nil, false},
	} {
		tk := &consult.Ticket{Status: tt.status, AwayAt: tt.since}
		if got := expire(tk, now, now); got != tt.want {
			t.Errorf("%s since %v: %v", tt.status, tt.since, got)
		}
	}
}

func TestSettle(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		c    consult.Consultation
		want consult.TicketStatus
	}{
		{"waits", consult.Consultation{Status: consult.Waiting}, consult.TicketQueued},
		{"admitted before", consult.Consultation{Status: consult.Waiting, AdmittedAt: &now}, consult.TicketAdmitted},
		{"cancelled", consult.Consultation{Status: consult.Cancelled, Reason: consult.CancelledByCaller}, consult.TicketLeft},
		{"expired", consult.Consultation{Status: consult.Cancelled, Reason: consult.CancelledByExpiry}, consult.TicketExpired},
		{"ended", consult.Consultation{Status: consult.Ended}, consult.TicketLeft},
	} {
		tk := &consult.Ticket{Status: consult.TicketQueued}
		changed, err := settle(tk, &tt.c, now)
		if err != nil || tk.Status != tt.want || changed != (tt.want != consult.TicketQueued) {
			t.Errorf("%s: %s, changed %v, %v", tt.name, tk.Status, changed, err)
		}
	}
	left := &consult.Ticket{Status: consult.TicketLeft}
	if changed, _ := settle(left, &consult.Consultation{Status: consult.Ended}, now); changed {
		t.Error("a closed ticket changed")
	}
}

func TestJoinRequestIsValidated(t *testing.T) {
	long := make([]rune, consult.MaxReasonLength+1)
	for i := range long {
		long[i] = 'é'
	}
	for _, tt := range []struct {
		name  string
		r     JoinRequest
		field string
	}{
		{"no doctor", JoinRequest{PatientID: "p"}, "doctor_id"},
		{"no patient", JoinRequest{DoctorID: "d"}, "patient_id"},
		{"bad doctor", JoinRequest{DoctorID: "{d}", PatientID: "p", SessionID: "vs_1"}, "doctor_id"},
		{"long reason", JoinRequest{DoctorID: "d", PatientID: "p", Reason: string(long)}, "reason"},
		{"long name", JoinRequest{DoctorID: "d", PatientID: "p", PatientName: string(long[:consult.MaxNameLength+1])}, "patient_name"},
	} {
		var e *consult.Error
		if err := tt.r.validate(); !errors.As(err, &e) || e.Code != consult.ValidationError || e.Fields[0].Field != tt.field {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	fits := JoinRequest{DoctorID: "d", PatientID: "p", Reason: string(long[1:])}
	if err := fits.validate(); err != nil {
		t.Errorf("a reason of the longest length: %v", err)
	}
	if err := (&JoinRequest{SessionID: "vs_1"}).validate(); err != nil {
		t.Errorf("a session alone: %v", err)
	}
}
