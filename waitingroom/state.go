package waitingroom

import (
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// The transitions of a ticket, as functions of values. Each reports whether
// anything changed; an illegal one is a Conflict and changes nothing.
//
//	queued → ready ⇄ away → admitted; any open one → left, declined, transferred,
//	expired; admitted → ready or queued, while the call has not begun

// present is the patient's page opening.
func present(t *consult.Ticket, now time.Time) (bool, error) {
	switch t.Status {
	case consult.TicketReady, consult.TicketAdmitted:
		return false, nil
	case consult.TicketQueued, consult.TicketAway:
		t.Status, t.AwayAt = consult.TicketReady, nil
		if t.ReadyAt == nil {
			t.ReadyAt = &now
		}
		return true, nil
	}
	return false, closedError(t.Status)
}

// away is the patient's page dropping; grace runs from now. A patient who has
// been admitted is not the waiting room's business any more, and one whose page
// was never open has none to lose.
func away(t *consult.Ticket, now time.Time) (bool, error) {
	switch t.Status {
	case consult.TicketReady:
		t.Status, t.AwayAt = consult.TicketAway, &now
		return true, nil
	case consult.TicketAway, consult.TicketQueued, consult.TicketAdmitted:
		return false, nil
	}
	return false, closedError(t.Status)
}

// admit lets the patient of an open ticket into the consultation. Admitting an
// admitted ticket changes nothing.
func admit(t *consult.Ticket, c *consult.Consultation, now time.Time) (bool, error) {
	switch {
	case t.Status == consult.TicketAdmitted:
		return false, nil
	case !t.Status.Open():
		return false, closedError(t.Status)
	case c.Expired(now):
		return false, expiredError()
	}
	if err := c.Admit(now); err != nil {
		return false, err
	}
	t.Status, t.AwayAt, t.AdmittedAt = consult.TicketAdmitted, nil, &now
	return true, nil
}

// leave is the patient giving up the place. Leaving twice changes nothing.
func leave(t *consult.Ticket, now time.Time) (bool, error) {
	if t.Status == consult.TicketLeft {
		return false, nil
	}
	return shut(t, consult.TicketLeft, now)
}

// decline is the doctor refusing: the consultation is cancelled with the ticket.
func decline(t *consult.Ticket, c *consult.Consultation, now time.Time) (bool, error) {
	if t.Status == consult.TicketDeclined {
		return false, nil
	}
	if !t.Status.Open() {
		return false, closedError(t.Status)
	}
	cancelled, err := c.Cancel(now, consult.CancelledByDecline)
	if err != nil {
		return false, err
	}
	if cancelled {
		c.TokenEpoch++ // revokes every room token issued before
	}
	return shut(t, consult.TicketDeclined, now)
}

// sendBack reopens an admitted ticket, as the first in its queue, while the call
// has not begun. Whether the patient's page is open is found out again.
func sendBack(t *consult.Ticket, c *consult.Consultation, others []consult.Ticket) (bool, error) {
	switch {
	case t.Status.Open():
		return false, nil
	case t.Status != consult.TicketAdmitted:
		return false, closedError(t.Status)
	}
	if err := c.SendBack(); err != nil {
		return false, err
	}
	t.Status, t.AdmittedAt, t.ClosedAt = consult.TicketReady, nil, nil
	if t.ReadyAt == nil {
		t.Status = consult.TicketQueued
	}
	putAt(t, others, 1)
	return true, nil
}

// transfer closes an open ticket, moves its consultation to another doctor, and
// returns the ticket that waits there.
func transfer(t *consult.Ticket, c *consult.Consultation, doctorID, doctorName string, now time.Time) (*consult.Ticket, error) {
	if !t.Status.Open() {
		return nil, closedError(t.Status)
	}
	if doctorID == t.DoctorID {
		return nil, invalidField("doctor_id", "is the doctor the patient waits for")
	}
	if err := joinable(c, now); err != nil {
		return nil, err
	}
	next := successor(t, t.SessionID, now)
	next.DoctorID, next.Rank = doctorID, t.JoinedAt.UnixMicro()
	if _, err := shut(t, consult.TicketTransferred, now); err != nil {
		return nil, err
	}
	c.DoctorID, c.DoctorName = doctorID, doctorName
	return &next, nil
}

// expire ends a place whose grace is over: away since before or longer. A
// patient who has come back meanwhile keeps it.
func expire(t *consult.Ticket, before, now time.Time) bool {
	if t.Status != consult.TicketAway || t.AwayAt == nil || t.AwayAt.After(before) {
		return false
	}
	changed, err := shut(t, consult.TicketExpired, now)
	return changed && err == nil
}

// settle brings an open ticket in line with its consultation, when that moved
// on while the ticket was being made.
func settle(t *consult.Ticket, c *consult.Consultation, now time.Time) (bool, error) {
	if !t.Status.Open() {
		return false, nil
	}
	switch {
	case c.Status.Final() && c.Reason == consult.CancelledByExpiry:
		t.Status = consult.TicketExpired
	case c.Status.Final():
		t.Status = consult.TicketLeft
	case c.AdmittedAt != nil:
		at := *c.AdmittedAt
		t.Status, t.AwayAt, t.AdmittedAt = consult.TicketAdmitted, nil, &at
		return true, nil
	default:
		return false, nil
	}
	t.AwayAt, t.ClosedAt = nil, &now
	return true, nil
}

// rejoin is the patient of an open ticket asking again: the place stays, newly
// given details replace the old.
func rejoin(t *consult.Ticket, r *JoinRequest) (bool, error) {
	if t.Status == consult.TicketAdmitted {
		return false, nil
	}
	if !t.Status.Open() {
		return false, closedError(t.Status)
	}
	changed := t.Screening.Raise(r.found.found)
	for _, f := range []struct {
		have  *string
		given string
	}{{&t.PatientName, r.PatientName}, {&t.Reason, r.Reason}, {&t.Language, r.Language}, {&t.Country, r.Country}} {
		if f.given != "" && f.given != *f.have {
			*f.have, changed = f.given, true
		}
	}
	return changed, nil
}

// successor is the ticket that takes old's place for another session.
func successor(old *consult.Ticket, session string, now time.Time) consult.Ticket {
	t := *old
	t.ID, t.SessionID = consult.NewID(consult.PrefixTicket), session
	t.UpdatedAt, t.Version = now, 1
	return t
}

// takeOver gives t the earlier place of old.
func takeOver(t, old *consult.Ticket) bool {
	if !t.Status.Open() {
		return false
	}
	raised := t.Screening.Raise(old.Screening)
	if t.Rank <= old.Rank {
		return raised
	}
	t.Rank, t.JoinedAt = old.Rank, old.JoinedAt
	return true
}

// joinable says why nobody can begin to wait for c; nil when they can.
func joinable(c *consult.Consultation, now time.Time) error {
	if c.Expired(now) {
		return expiredError()
	}
	if c.Status == consult.Active {
		return consult.Errorf(consult.Conflict, consult.ReasonNotWaiting, "The consultation has already started.")
	}
	probe := *c
	return probe.Admit(now) // refuses exactly the final states, with their reasons
}

func shut(t *consult.Ticket, to consult.TicketStatus, now time.Time) (bool, error) {
	if !t.Status.Open() {
		return false, closedError(t.Status)
	}
	t.Status, t.AwayAt, t.ClosedAt = to, nil, &now
	return true, nil
}

func closedError(s consult.TicketStatus) error {
	msg := "The patient no longer waits in this queue."
	switch s {
	case consult.TicketAdmitted:
		msg = "The patient has already been admitted."
	case consult.TicketLeft:
		msg = "The patient has left the waiting room."
	case consult.TicketDeclined:
		msg = "The doctor has declined this request."
	case consult.TicketTransferred:
		msg = "The patient has been transferred to another doctor."
	case consult.TicketExpired:
		msg = "The place in the waiting room has expired."
	}
	return consult.Errorf(consult.Conflict, consult.ReasonTicketClosed, "%s", msg)
}

func expiredError() error {
	return consult.Errorf(consult.Conflict, consult.ReasonCancelled, "The consultation has expired.")
}
