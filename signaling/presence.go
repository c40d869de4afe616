package signaling

import (
	"github.com/chatmed/chatmed/internal/consult"
)

// mediaConnected is the state in which media flows.
const mediaConnected = "connected"

// settle makes the stored consultation agree with who is here: participations,
// the start of the call, and its end when nobody is left. It may be called
// after any change and as often as one likes; what fails is tried again.
func (r *room) settle() {
	if r.c == nil || r.c.Status.Final() || r.stopping || r.srv.isDraining() {
		return
	}
	r.saveParticipations()
	r.activate()
	r.watchEmptiness()
}

func (r *room) saveParticipations() {
	for _, p := range r.people {
		if p.stage != inCall || p.saved {
			continue
		}
		row := p.participation(r.scope, r.id)
		ctx, cancel := r.call()
		err := r.srv.deps.Store.JoinParticipation(ctx, &row,
			[]consult.Event{r.event(consult.EventParticipantJoined, row)})
		cancel()
		if err != nil {
			r.log.Error("participation not stored", "participant_id", p.id, "err", err)
			r.retry()
			continue
		}
		p.saved = true
	}
	var left []leaving
	for _, l := range r.gone {
		ctx, cancel := r.call()
		err := r.srv.deps.Store.LeaveParticipation(ctx, r.scope, l.p.ID, l.at,
			[]consult.Event{r.event(consult.EventParticipantLeft, l.p)})
		cancel()
		if err != nil && !consult.HasCode(err, consult.NotFound) {
			r.log.Error("end of participation not stored", "participant_id", l.p.ID, "err", err)
			r.retry()
			left = append(left, l)
		}
	}
	r.gone = left
}

// event says who came or went, by ids.
func (r *room) event(typ consult.EventType, p consult.Participation) consult.Event {
	return consult.Event{
		ID: consult.NewID(consult.PrefixEvent), Type: typ, Scope: r.scope,
		Actor:     consult.Actor{Kind: consult.ActorParticipant, ID: p.ID, Role: p.Role},
		SessionID: r.id, DoctorID: r.c.DoctorID, At: r.now(),
		Data: encode(struct {
			ParticipantID string       `json:"participant_id"`
			Role          consult.Role `json:"role"`
			Subject       string       `json:"subject"`
		}{p.ID, p.Role, p.Subject}),
	}
}

// activate starts the consultation once the admitted patient and the doctor are
// both connected.
func (r *room) activate() {
	if r.c.Status != consult.Waiting || r.c.AdmittedAt == nil ||
		!r.connected(consult.Doctor) || !r.connected(consult.Patient) {
		return
	}
	ctx, cancel := r.call()
	defer cancel()
	_, err := r.srv.deps.Consultations.Activate(ctx, r.scope, r.id, consult.System)
	if err != nil && !consult.HasCode(err, consult.Conflict) {
		r.log.Error("consultation not started", "err", err)
		r.retry()
		return
	}
	r.refreshSoon()
}

// connected reports whether someone of that role is in the call with a
// connection and, unless they only chat, with media.
func (r *room) connected(role consult.Role) bool {
	for _, p := range r.people {
		if p.role == role && p.stage == inCall && p.conn != nil &&
			(p.media.leg == nil || p.media.state == mediaConnected) {
			return true
		}
	}
	return false
}

// present reports whether the doctor or the patient is still there in any way.
// Media alone counts: a WebSocket may be lost and resumed while they talk.
func (r *room) occupied() bool {
	for _, p := range r.people {
		if (p.role == consult.Doctor || p.role == consult.Patient) &&
			(p.conn != nil || p.media.state == mediaConnected) {
			return true
		}
	}
	return false
}

// watchEmptiness ends an active consultation that both have left, after a grace
// period. While it waits to begin, only its expiry ends it.
func (r *room) watchEmptiness() {
	if r.c.Status != consult.Active || r.occupied() {
		r.empty.stop()
		r.empty = nil
		return
	}
	if r.empty == nil {
		r.empty = r.after(r.srv.cfg.EmptyGrace, r.endEmpty)
	}
}

func (r *room) endEmpty() {
	r.empty = nil
	if r.occupied() {
		return
	}
	ctx, cancel := r.call()
	defer cancel()
	_, err := r.srv.deps.Consultations.End(ctx, r.scope, r.id, consult.System, consult.EndedByAbsence)
	if err != nil && !consult.HasCode(err, consult.Conflict) {
		r.log.Error("empty consultation not ended", "err", err)
		r.empty = r.after(retryAfter, r.endEmpty)
		return
	}
	r.refresh()
}
