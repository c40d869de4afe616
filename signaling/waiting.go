package signaling

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/waitingroom"
)

// Why someone waits.
const (
	whyQueue      = "queue"
	whyScheduled  = "scheduled"
	whyNotStarted = "not_started"
)

// waitReason decides who waits, and why; empty: they may come in.
func waitReason(c *consult.Consultation, role consult.Role, now time.Time) string {
	switch {
	case role == consult.Doctor, c.AdmittedAt != nil:
		return ""
	case now.Before(c.OpensAt()):
		return whyScheduled
	case role == consult.Patient:
		return whyQueue
	}
	return whyNotStarted
}

// estimateView is a wait in seconds.
type estimateView struct {
	Expected int `json:"expected_seconds"`
	Low      int `json:"low_seconds"`
	High     int `json:"high_seconds"`
}

// waitingView is why someone waits, and for how long.
type waitingView struct {
	Why      string        `json:"why"`
	TicketID string        `json:"ticket_id,omitempty"`
	Position int           `json:"position,omitempty"`
	Estimate *estimateView `json:"estimate"`
	OpensAt  string        `json:"opens_at,omitempty"`
	// Doctor is whether the doctor is there, and Messages what the doctor wrote:
	// while the patient waits in the queue.
	Doctor   *doctorView `json:"doctor,omitempty"`
	Messages []noteView  `json:"messages,omitempty"`
	// Reason is what the patient gave, and Emergency what it was found to be.
	Reason    string         `json:"reason,omitempty"`
	Emergency *emergencyView `json:"emergency,omitempty"`
}

// doctorView is whether the doctor is there.
type doctorView struct {
	Presence consult.Presence `json:"presence"`
	Online   bool             `json:"online"`
}

// noteView is a message of the doctor to a patient who waits.
type noteView struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Text   string  `json:"text"`
	SentAt instant `json:"sent_at"`
}

// waitingMessage tells someone that they wait.
type waitingMessage struct {
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
	identity
	Waiting waitingView `json:"waiting"`
}

func (waitingMessage) kind() string { return "waiting" }

// waitingFor describes p's wait; place is p's place in the queue, if any.
func (r *room) waitingFor(p *participant, place *consult.QueuePlace) waitingView {
	v := waitingView{Why: p.why, Emergency: r.emergencyFor(p, place)}
	switch {
	case p.why == whyScheduled:
		v.OpensAt = string(at(r.c.OpensAt()))
	case p.why == whyQueue && place != nil:
		v.TicketID, v.Position = place.Ticket.ID, max(place.Position, 1)
		v.Doctor, v.Messages, v.Reason = r.doctor, r.notes, place.Ticket.Reason
		if e := place.Estimate; e.Known {
			v.Estimate = &estimateView{Expected: seconds(e.Expected), Low: seconds(e.Low), High: seconds(e.High)}
		}
	}
	return v
}

func seconds(d time.Duration) int { return max(0, int(math.Round(d.Seconds()))) }

// mustWait makes p wait, or wait for something else than before, and says so.
func (r *room) mustWait(p *participant, why string) {
	if p.stage != waits { // sent back to the waiting room
		r.goes(p)
		if p.saved {
			r.gone = append(r.gone, leaving{p.participation(r.scope, r.id), r.now()})
			p.saved, p.joinedAt = false, time.Time{}
		}
		r.tellParticipants()
	}
	p.stage, p.why = waits, why
	r.readNotes()
	r.lookForDoctor()
	var place *consult.QueuePlace
	if why == whyQueue {
		var err error
		if place, err = r.takeTicket(p); err != nil {
			r.eject(p, err)
			return
		}
		if place == nil {
			return // the coming refresh says what became of the consultation
		}
	}
	if why == whyScheduled {
		place = r.placeBefore(p)
	}
	if why == whyScheduled && r.opening == nil {
		r.opening = r.after(r.c.OpensAt().Sub(r.now()), func() {
			r.opening = nil
			for _, p := range r.everyone() {
				r.reconsider(p)
			}
		})
	}
	r.tellWaiting(p, place)
}

// tellWaiting sends p's place: first as the reply to the join, then whenever it
// has changed.
func (r *room) tellWaiting(p *participant, place *consult.QueuePlace) {
	m := waitingMessage{Type: "waiting", identity: r.identityOf(p), Waiting: r.waitingFor(p, place)}
	told := string(encode(m.Waiting))
	if p.conn == nil || (p.waited && told == p.told) {
		return
	}
	p.told = told
	if p.waited {
		p.conn.push(m)
		return
	}
	p.waited, m.ID = true, p.replyTo
	p.conn.send(m)
}

// takeTicket gives the patient a place in the doctor's queue and marks them present.
func (r *room) takeTicket(p *participant) (*consult.QueuePlace, error) {
	ctx, cancel := r.call()
	defer cancel()
	place, err := r.srv.deps.Tickets.Join(ctx, r.scope, p.actor(), waitingroom.JoinRequest{
		DoctorID: r.c.DoctorID, PatientID: r.c.PatientID, PatientName: p.name, Language: p.language, SessionID: r.id, Reason: p.reason,
	})
	if consult.HasCode(err, consult.Conflict) {
		// Admitted, ended or cancelled between our look at it and now?
		if c, e := r.srv.deps.Consultations.Get(ctx, r.scope, r.id); e == nil && (c.AdmittedAt != nil || c.Status.Final()) {
			r.refreshSoon()
			return nil, nil
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if place.Ticket.Status == consult.TicketAdmitted {
		r.refreshSoon()
		return nil, nil
	}
	p.ticketID, p.reason = place.Ticket.ID, ""
	if ready := r.present(ctx, p); ready != nil {
		place = ready
	}
	return place, nil
}

// present tells the waiting room that the patient's page is open, and returns
// their place, or nil when it could not.
func (r *room) present(ctx context.Context, p *participant) *consult.QueuePlace {
	place, err := r.srv.deps.Tickets.Present(ctx, r.scope, p.ticketID)
	if err == nil {
		return place
	}
	if !consult.HasCode(err, consult.Conflict) {
		r.log.Warn("presence not noted", "ticket_id", p.ticketID, "err", err)
		r.retry() //nolint:contextcheck // rooms work under the server's own context, until Shutdown
	}
	return nil
}

// setAway tells the waiting room that the patient's page is gone.
func (r *room) setAway(p *participant) {
	if p.stage != waits || p.ticketID == "" {
		return
	}
	ctx, cancel := r.call()
	defer cancel()
	if _, err := r.srv.deps.Tickets.Away(ctx, r.scope, p.ticketID); err != nil && !consult.HasCode(err, consult.Conflict) {
		r.log.Warn("absence not noted", "ticket_id", p.ticketID, "err", err)
		r.retry()
	}
}

// queued reports whether a patient waits in the queue.
func (r *room) queued() bool {
	for _, p := range r.people {
		if p.stage == waits && p.why == whyQueue {
			return true
		}
	}
	return false
}

// readNotes reads what the doctor wrote to a patient who waits, and reports
// whether that has changed.
func (r *room) readNotes() bool {
	if !r.queued() {
		return false
	}
	ctx, cancel := r.call()
	defer cancel()
	all, err := r.srv.deps.Queue.Messages(ctx, r.scope, r.id)
	if err != nil {
		r.log.Error("messages not read", "err", err)
		r.retry()
		return false
	}
	var notes []noteView
	for i := range all {
		m := &all[i]
		notes = append(notes, noteView{ID: m.ID, Name: m.Name, Text: m.Text, SentAt: at(m.SentAt)})
	}
	changed := !slices.Equal(notes, r.notes)
	r.notes = notes
	return changed
}

// lookForDoctor reads whether the doctor is there, for a patient who waits.
func (r *room) lookForDoctor() {
	if !r.queued() {
		return
	}
	ctx, cancel := r.call()
	defer cancel()
	p, err := r.srv.deps.Queue.Presence(ctx, r.scope, r.c.DoctorID)
	if err != nil {
		r.log.Error("presence not read", "err", err)
		return // the next look at the queue says it
	}
	r.doctor = &doctorView{Presence: p.Presence, Online: p.Online}
}

// attend says that a doctor's page is open here, or is not any more. It is
// called after everything that happens, and does something at a change only.
func (r *room) attend() {
	there := false
	for _, p := range r.people {
		there = there || p.role == consult.Doctor && p.conn != nil
	}
	if r.absent != nil && (!there || r.attended != r.c.DoctorID) {
		r.absent()
		r.absent = nil
	}
	if there && r.absent == nil && r.c != nil {
		ctx, cancel := r.call()
		defer cancel()
		r.attended = r.c.DoctorID
		r.absent = r.srv.deps.Queue.Attend(ctx, r.scope, r.attended)
	}
}

// reconsider lets a waiting participant in, or tells them what they wait for
// now; somebody in the call may have been sent back. Whoever is away is let in
// when they are back.
func (r *room) reconsider(p *participant) {
	if why := waitReason(r.c, p.role, r.now()); p.stage != waits && why != "" {
		r.mustWait(p, why)
		if p.conn == nil {
			r.setAway(p)
		}
		return
	}
	if p.stage != waits || p.conn == nil {
		return
	}
	switch why := waitReason(r.c, p.role, r.now()); {
	case why == "":
		r.enter(p)
	case why != p.why:
		r.mustWait(p, why)
	}
}
