package recording

import (
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// State is what people in the call are shown.
type State string

// The states of a session's recording.
const (
	Off       State = "off"
	Waiting   State = "waiting"   // started, and the gate was never open
	Recording State = "recording" // the gate is open
	Paused    State = "paused"    // it was open, and is shut now
	Failed    State = "failed"    // ended by a fault
)

// View is the recording of a session as one of its participants sees it.
type View struct {
	State       State
	Reason      string
	RecordingID string    // "" when nothing is started
	StartedAt   time.Time // zero when nothing is started
	Recorded    time.Duration
	// WaitsFor are the participants who have not granted.
	WaitsFor []string
	// Asked says that this participant is asked at all, You what they said last.
	Asked bool
	You   consult.ConsentDecision
	// Others is what the others said, for the doctor alone.
	Others map[string]consult.ConsentDecision
	// Wordings are the texts that people are shown before they decide.
	Wordings []consult.Wording
}

// State is the recording of a session as that participant sees it.
func (s *Service) State(sessionID, participantID string) View {
	ses := s.peek(sessionID)
	if ses == nil {
		return View{State: Off, WaitsFor: []string{}}
	}
	return ses.view(participantID)
}

func (s *session) view(participantID string) View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := View{State: Off, WaitsFor: s.gate.WaitsFor(), Wordings: slices.Clone(s.wordings)}
	switch l := s.live; {
	case l == nil && s.failed != "":
		v.State, v.Reason = Failed, s.failed
	case l == nil:
	default:
		v.RecordingID, v.StartedAt, v.Recorded = l.rec.ID, l.rec.StartedAt, l.recorded
		switch {
		case l.open:
			v.State = Recording
			v.Recorded += s.svc.now().Sub(l.since)
		case l.ever:
			v.State, v.Reason = Paused, consult.RecordingNoConsent
		default:
			v.State, v.Reason = Waiting, consult.RecordingNoConsent
		}
	}
	who, here := s.gate.Who(participantID)
	if !here || !who.Role.Recorded() {
		return v
	}
	v.Asked, v.You = true, s.gate.Decision(who)
	if who.Role == consult.Doctor {
		v.Others = map[string]consult.ConsentDecision{}
		for _, id := range s.gate.Present() {
			if other, _ := s.gate.Who(id); id != participantID && other.Role.Recorded() {
				v.Others[id] = s.gate.Decision(other)
			}
		}
	}
	return v
}
