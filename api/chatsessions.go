package api

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/chatmed/chatmed/internal/clinical/chat"
	"github.com/chatmed/chatmed/internal/consult"
)

type chatNamedBody struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type chatStepBody struct {
	At   string `json:"at"`
	Kind string `json:"kind"`
	Text string `json:"text"`
}

type chatSummaryBody struct {
	SessionID    string          `json:"session_id"`
	PatientID    *string         `json:"patient_id"`
	Language     string          `json:"language"`
	StartedAt    string          `json:"started_at"`
	UpdatedAt    string          `json:"updated_at"`
	Messages     int             `json:"messages"`
	Urgency      chat.Urgency    `json:"urgency_level"`
	Complaint    *chatNamedBody  `json:"complaint"`
	Others       []chatNamedBody `json:"other_complaints"`
	OnsetAt      *string         `json:"onset_at"`
	DurationDays *float64        `json:"duration_days"`
	Severity     *int            `json:"severity"`
	Timeline     []chatStepBody  `json:"timeline"`
	Positives    []chatNamedBody `json:"positives"`
	Negatives    []chatNamedBody `json:"negatives"`
	Medicines    []string        `json:"medicines"`
	Allergies    []string        `json:"allergies"`
	NoMedicines  bool            `json:"no_medicines"`
	NoAllergies  bool            `json:"no_allergies"`
	AgeYears     *float64        `json:"age_years"`
	Pregnant     *bool           `json:"pregnant"`
	Child        bool            `json:"child"`
	RedFlags     []redFlagBody   `json:"red_flags"`
	Engine       string          `json:"engine"`
	Disclaimer   string          `json:"disclaimer"`
}

// chatSummary is a conversation as a doctor reads it before the visit.
func (s *server) chatSummary(ctx context.Context, r *request) (any, error) {
	stored, session, err := s.chatSession(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return nil, consult.Errorf(consult.NotFound, "", "There is no conversation of this id.")
	}
	language := session.Language
	if v, ok := r.params["language"]; ok || language == "" {
		language = chatLanguage(v)
	}
	v := s.Chat.Summary(session, language, s.Now().UTC())
	out := chatSummaryBody{
		SessionID: stored.ID, PatientID: optional(stored.PatientID), Language: language,
		StartedAt: rfc3339(stored.CreatedAt), UpdatedAt: rfc3339(stored.UpdatedAt), Messages: v.Messages, Urgency: v.Urgency,
		Others: namedOf(v.Others), OnsetAt: optionalTime(v.Onset), DurationDays: v.DurationDays, Severity: v.Severity,
		Timeline: []chatStepBody{}, Positives: namedOf(v.Positives), Negatives: namedOf(v.Negatives),
		Medicines: list(v.Medicines), Allergies: list(v.Allergies), NoMedicines: v.NoMedicines, NoAllergies: v.NoAllergies,
		AgeYears: v.AgeYears, Pregnant: v.Pregnant, Child: v.Child, RedFlags: chatFlags(v.Flags), Engine: v.Engine, Disclaimer: v.Disclaimer,
	}
	if v.Complaint != nil {
		out.Complaint = &chatNamedBody{v.Complaint.ID, v.Complaint.Name}
	}
	for _, t := range v.Timeline {
		out.Timeline = append(out.Timeline, chatStepBody{rfc3339(t.At), t.Kind, t.Text})
	}
	return out, nil
}

func namedOf(items []chat.Named) []chatNamedBody {
	out := make([]chatNamedBody, 0, len(items))
	for _, n := range items {
		out = append(out, chatNamedBody{n.ID, n.Name})
	}
	return out
}

type chatDeletedBody struct {
	SessionID string `json:"session_id"`
	Deleted   bool   `json:"deleted"`
}

func (s *server) deleteChat(ctx context.Context, r *request) (any, error) {
	id := r.params["session_id"]
	if err := s.ChatSessions.DeleteChatSession(ctx, r.key.Scope, id, r.actor(), s.Now().UTC()); err != nil {
		return nil, err
	}
	return chatDeletedBody{id, true}, nil
}

// openStored opens what the store shows as base64; JSON stays JSON.
func (s *server) openStored(content, context string) (json.RawMessage, bool) {
	sealed, err := base64.StdEncoding.DecodeString(content)
	if err != nil {
		return nil, false
	}
	plain, err := s.sealer.open(sealed, context)
	return plain, err == nil && json.Valid(plain)
}
