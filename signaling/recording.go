package signaling

import (
	"encoding/json"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording"
)

// consentRequest is what somebody says to being recorded.
type consentRequest recording.Decision

func readConsent(o object) consentRequest {
	return consentRequest{
		Decision: consult.ConsentDecision(o.str("decision")), WordingID: o.str("wording_id"), Language: o.str("language"),
	}
}

func (m consentRequest) handle(s *session, id string) {
	s.inCall(id, func(r *room, p *participant) {
		ctx, cancel := r.call()
		defer cancel()
		if err := r.srv.deps.Recordings.Decide(ctx, r.id, p.id, recording.Decision(m)); err != nil {
			s.refuse(id, err)
			return
		}
		s.send(ackMessage{Type: "ack", ID: id})
	})
}

// recordRequest is the doctor's start and stop.
type recordRequest struct{ on bool }

func (m recordRequest) handle(s *session, id string) {
	s.inCall(id, func(r *room, p *participant) {
		if p.role != consult.Doctor {
			s.refuse(id, noGrant())
			return
		}
		ctx, cancel := r.call()
		defer cancel()
		var err error
		if m.on {
			_, err = r.srv.deps.Recordings.Start(ctx, r.scope, r.id, p.actor())
		} else {
			err = r.srv.deps.Recordings.Stop(ctx, r.scope, r.id, p.actor())
		}
		if err != nil && (m.on || consult.AsError(err).Reason != consult.ReasonNotRecording) {
			s.refuse(id, err)
			return
		}
		s.send(ackMessage{Type: "ack", ID: id})
	})
}

// saying is a decision, or null for none yet.
type saying consult.ConsentDecision

// MarshalJSON writes null for none.
func (d saying) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(d))
}

// ownView is what the reader has said.
type ownView struct {
	Decision saying `json:"decision"`
}

// wordingView is a text that people are shown before they decide.
type wordingView struct {
	ID       string `json:"id"`
	Language string `json:"language"`
	Text     string `json:"text"`
}

// recordingView is the recording as somebody in the call sees it.
type recordingView struct {
	State           recording.State   `json:"state"`
	Reason          string            `json:"reason,omitempty"`
	RecordingID     string            `json:"recording_id,omitempty"`
	StartedAt       string            `json:"started_at,omitempty"`
	RecordedSeconds *int              `json:"recorded_seconds,omitempty"`
	WaitingFor      []string          `json:"waiting_for"`
	You             *ownView          `json:"you"`
	Others          map[string]saying `json:"others,omitempty"`
	Wordings        []wordingView     `json:"wordings,omitempty"`
}

// recordingMessage says that the recording changed.
type recordingMessage struct {
	Type string `json:"type"`
	recordingView
}

func (recordingMessage) kind() string { return "recording" }

func newRecordingView(v *recording.View, worded bool) *recordingView {
	out := &recordingView{State: v.State, Reason: v.Reason, RecordingID: v.RecordingID, WaitingFor: v.WaitsFor}
	if v.RecordingID != "" {
		seconds := int(v.Recorded / time.Second)
		out.StartedAt, out.RecordedSeconds = string(at(v.StartedAt)), &seconds
	}
	if v.Asked {
		out.You = &ownView{saying(v.You)}
	}
	if v.Others != nil {
		out.Others = make(map[string]saying, len(v.Others))
		for id, d := range v.Others {
			out.Others[id] = saying(d)
		}
	}
	if worded {
		for _, w := range v.Wordings {
			out.Wordings = append(out.Wordings, wordingView{ID: w.ID, Language: w.Language, Text: w.Text})
		}
	}
	return out
}

// recordingSoon tells everyone of the recording. Any goroutine.
func (r *room) recordingSoon() {
	if r.recording.CompareAndSwap(false, true) {
		r.post(func() {
			r.recording.Store(false)
			r.tellRecording()
		})
	}
}

// syncRecording tells the recording what the consultation is now.
func (r *room) syncRecording() {
	ctx, cancel := r.call()
	defer cancel()
	r.srv.deps.Recordings.Sync(ctx, r.c)
}

// comes tells the recording that p is about to be in the call, before p has any
// media path.
func (r *room) comes(p *participant) {
	p.present, p.going, p.heard = true, false, ""
	ctx, cancel := r.call()
	defer cancel()
	r.srv.deps.Recordings.Enter(ctx, r.c, recording.Person{
		ParticipantID: p.id, Role: p.role, Subject: p.subject, Name: p.name,
	})
}

// goes closes p's media and then tells the recording that p is out. Until then p
// counts as there.
func (r *room) goes(p *participant) {
	p.going = p.present
	r.closeMedia(p)
	if p.media.job == nil { // there was never any
		r.silent(p)
	}
}

// silent notes that p's media is closed.
func (r *room) silent(p *participant) {
	if p.going {
		p.present, p.going = false, false
		r.srv.deps.Recordings.Leave(r.id, p.id)
	}
}

// recordingFor is the recording as p sees it; nil where nothing may be recorded.
func (r *room) recordingFor(p *participant, first bool) *recordingView {
	if !r.c.EnableRecording {
		return nil
	}
	state := r.srv.deps.Recordings.State(r.id, p.id)
	v := newRecordingView(&state, first || p.heard == "")
	same := *v
	same.RecordedSeconds, same.Wordings = nil, nil
	p.heard = string(encode(same))
	return v
}

// tellRecording tells everyone in the call for whom something has changed.
func (r *room) tellRecording() {
	if r.c == nil {
		return
	}
	for _, p := range r.people {
		if p.stage != inCall || p.conn == nil {
			continue
		}
		before := p.heard
		v := r.recordingFor(p, false)
		switch {
		case v == nil || p.heard == before:
		case before == "":
			// The texts come once, so that nothing may supersede them.
			p.conn.send(recordingMessage{"recording", *v})
		default:
			p.conn.push(recordingMessage{"recording", *v})
		}
	}
}

var _ Recordings = (*recording.Service)(nil)
