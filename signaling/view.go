package signaling

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu"
)

// instant is a time as RFC 3339 in UTC, or null.
type instant string

// MarshalJSON writes null for no time.
func (i instant) MarshalJSON() ([]byte, error) {
	if i == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(i))
}

func at(t time.Time) instant { return instant(t.UTC().Format(time.RFC3339Nano)) }

func maybeAt(t *time.Time) instant {
	if t == nil {
		return ""
	}
	return at(*t)
}

// sessionView is the consultation as everyone in it sees it. Comparable.
type sessionView struct {
	SessionID        string         `json:"session_id"`
	Status           consult.Status `json:"status"`
	Reason           string         `json:"reason"`
	DoctorName       string         `json:"doctor_name"`
	PatientName      string         `json:"patient_name"`
	Language         string         `json:"language"`
	ScheduledAt      instant        `json:"scheduled_at"`
	OpensAt          instant        `json:"opens_at"`
	StartedAt        instant        `json:"started_at"`
	ExpiresAt        instant        `json:"expires_at"`
	RecordingEnabled bool           `json:"recording_enabled"`
}

func newSessionView(c *consult.Consultation) sessionView {
	return sessionView{
		SessionID: c.ID, Status: c.Status, Reason: c.Reason, DoctorName: c.DoctorName, PatientName: c.PatientName,
		Language: c.Language, ScheduledAt: maybeAt(c.ScheduledAt), OpensAt: at(c.OpensAt()),
		StartedAt: maybeAt(c.StartedAt), ExpiresAt: at(c.ExpiresAt), RecordingEnabled: c.EnableRecording,
	}
}

// sessionMessage says that the consultation changed.
type sessionMessage struct {
	Type    string      `json:"type"`
	Session sessionView `json:"session"`
}

func (sessionMessage) kind() string { return "session" }

// endedMessage says that the consultation is over.
type endedMessage struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
	// Note is what the doctor gave as the reason for declining, to the patient.
	Note string `json:"note,omitempty"`
}

func (endedMessage) kind() string { return "ended" }

// movedMessage says that this person went on elsewhere.
type movedMessage struct {
	Type string `json:"type"`
}

func (movedMessage) kind() string { return "moved" }

// ackMessage confirms a request.
type ackMessage struct {
	Type          string `json:"type"`
	ID            string `json:"id,omitempty"`
	MessageID     string `json:"message_id,omitempty"`
	DoctorJoinURL string `json:"doctor_join_url,omitempty"`
	// Count is how many were told.
	Count *int `json:"count,omitempty"`
}

func (ackMessage) kind() string { return "ack" }

// slotView is a receive slot and whose media flows in it.
type slotView struct {
	Slot          int     `json:"slot"`
	AudioMid      string  `json:"audio_mid"`
	VideoMid      string  `json:"video_mid"`
	ParticipantID *string `json:"participant_id"`
	Source        *string `json:"source"`
}

func slotViews(slots []sfu.Slot) []slotView {
	out := make([]slotView, 0, len(slots))
	for _, s := range slots {
		v := slotView{Slot: s.Index, AudioMid: s.AudioMid, VideoMid: s.VideoMid}
		if s.ParticipantID != "" {
			v.ParticipantID, v.Source = &s.ParticipantID, &s.Source
		}
		out = append(out, v)
	}
	return out
}

// slotsMessage is the whole mapping of slots.
type slotsMessage struct {
	Type  string     `json:"type"`
	Slots []slotView `json:"slots"`
}

func (slotsMessage) kind() string { return "slots" }

// sourceView is one source of a participant.
type sourceView struct {
	Muted bool `json:"muted"`
	// Stalled: it is not muted, and nothing comes of it.
	Stalled bool `json:"stalled,omitempty"`
}

// participantView is someone in the call.
type participantView struct {
	ID      string                `json:"id"`
	Role    consult.Role          `json:"role"`
	Name    string                `json:"name"`
	State   string                `json:"state"`
	Self    bool                  `json:"self"`
	Sources map[string]sourceView `json:"sources"`
}

// participantsMessage is everyone in the call.
type participantsMessage struct {
	Type         string            `json:"type"`
	Participants []participantView `json:"participants"`
}

func (participantsMessage) kind() string { return "participants" }

// participantViews lists those in the call as self sees them, in the order they
// came into it.
func (r *room) participantViews(self *participant) []participantView {
	inside := slices.DeleteFunc(r.everyone(), func(p *participant) bool { return p.stage != inCall })
	slices.SortStableFunc(inside, func(a, b *participant) int { return a.joinedAt.Compare(b.joinedAt) })
	out := []participantView{}
	for _, p := range inside {
		v := participantView{
			ID: p.id, Role: p.role, Name: p.name, State: "connected", Self: p == self, Sources: map[string]sourceView{},
		}
		if p.conn == nil {
			v.State = "away"
		}
		for source, muted := range p.media.sources {
			v.Sources[source] = sourceView{Muted: muted, Stalled: p.media.stalled[source] && !muted}
		}
		out = append(out, v)
	}
	return out
}

// tellParticipants sends everyone in the call the list of who is.
func (r *room) tellParticipants() {
	for _, p := range r.people {
		if p.stage == inCall {
			p.push(participantsMessage{Type: "participants", Participants: r.participantViews(p)})
		}
	}
}
