package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/clinical/chat"
	"github.com/chatmed/chatmed/internal/clinical/emergency"
	"github.com/chatmed/chatmed/internal/consult"
)

// Chat answers messages (chat.Engine).
type Chat interface {
	// ToScreen are the texts that the emergency screen must see first.
	ToScreen(s *chat.Session, message string, now time.Time) []string
	Answer(s *chat.Session, in chat.Input) chat.Answer
	BriefOf(s *chat.Session, in chat.Input, a chat.Answer) chat.Brief
	Adopt(s *chat.Session, a chat.Answer, p *chat.Proposal, engine string) chat.Answer
	Raise(s *chat.Session, a chat.Answer, level chat.Urgency, flags []chat.Flag, help chat.Help) chat.Answer
	Summary(s *chat.Session, language string, now time.Time) chat.Summary
}

// ChatModel words answers elsewhere (provider.Provider). Its error means that the
// engine's own answer stands.
type ChatModel interface {
	Name() string
	Answer(ctx context.Context, b chat.Brief, said func(sentence string)) (*chat.Proposal, error)
}

// ChatSessions keeps conversations (the store).
type ChatSessions interface {
	ChatSession(ctx context.Context, sc consult.Scope, id string) (*consult.ChatSession, error)
	SaveChatSession(ctx context.Context, c *consult.ChatSession) error
	DeleteChatSession(ctx context.Context, sc consult.Scope, id string, actor consult.Actor, at time.Time) error
}

// concepts names the signs of a text (emergency.Engine).
type concepts interface {
	Concepts(in emergency.Input) []emergency.Concept
}

func (s *server) chatRoutes() []route {
	const session = "/api/v1/chat/sessions/{session_id}"
	return []route{
		{http.MethodPost, "/api/v1/chat/message", s.chatMessage},
		{http.MethodGet, session + "/summary", s.chatSummary},
		{http.MethodDelete, session, s.deleteChat},
	}
}

type chatMessageBody struct {
	Message   string `json:"message"`
	SessionID string `json:"session_id"`
	Language  string `json:"language"`
	ProfileID string `json:"profile_id"`
	PatientID string `json:"patient_id"`
	Country   string `json:"country"`
}

type chatSourceBody struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Reference string `json:"reference"`
}

type chatBody struct {
	Response   string           `json:"response"`
	SessionID  string           `json:"session_id"`
	Disclaimer string           `json:"disclaimer"`
	Urgency    chat.Urgency     `json:"urgency_level"`
	Questions  []string         `json:"follow_up_questions"`
	Timestamp  string           `json:"timestamp"`
	Language   string           `json:"language"`
	Engine     string           `json:"engine"`
	Sources    []chatSourceBody `json:"sources"`
	RedFlags   []redFlagBody    `json:"red_flags"`
	Number     *string          `json:"emergency_number"`
	CrisisLine *lineBody        `json:"crisis_line"`
}

// talk is one message under way.
type talk struct {
	r        *request
	body     chatMessageBody
	language string
	lines    Lines
	profile  emergency.Profile
	// tell gets what can be said before the answer is whole; nil for nobody.
	tell func(event string, data any)

	model    *chat.Proposal // what the model answered
	modelled bool           // it was asked
	told     bool           // the start was told
}

// chatLanguage is the one an answer is written in; the documented default is
// English.
func chatLanguage(tag string) string {
	base, _, _ := strings.Cut(strings.ToLower(tag), "-")
	if slices.Contains([]string{"fr", "ar"}, base) {
		return base
	}
	return "en"
}

func (s *server) chatMessage(ctx context.Context, r *request) (any, error) {
	t := &talk{r: r}
	if err := r.decode(&t.body); err != nil {
		return nil, err
	}
	t.language = chatLanguage(t.body.Language)
	country := t.body.Country
	if country == "" {
		country = s.Config.Country
	}
	t.lines = EmergencyLines(country, t.language)
	if t.body.ProfileID != "" {
		known := false
		if t.profile, known = s.profile(ctx, r, t.body.ProfileID); !known {
			return nil, consult.Errorf(consult.NotFound, "", "There is no profile of this id.")
		}
	}
	if t.body.SessionID == "" {
		t.body.SessionID = consult.NewID(consult.PrefixChatSession)
	}
	if prefers(r.header, contentTypeEvents, "application/json") && r.header.Get(headerIdempotency) == "" {
		return &eventStream{run: func(tell func(string, any)) (any, error) {
			t.tell = tell
			return s.converse(ctx, t)
		}}, nil
	}
	return s.converse(ctx, t)
}

// saveAttempts is how often a message is taken in again when another one of the
// same conversation was first.
const saveAttempts = 5

// converse answers a message and keeps the conversation. What is urgent is
// answered even when it cannot be kept.
func (s *server) converse(ctx context.Context, t *talk) (*chatBody, error) {
	for attempt := 1; ; attempt++ {
		stored, session, loadErr := s.chatSession(ctx, t.r.key.Scope, t.body.SessionID)
		if loadErr != nil {
			stored, session = s.newChat(t), &chat.Session{}
		} else if stored == nil {
			stored = s.newChat(t)
		}
		before := session.Urgency
		a, found := s.chatTurn(ctx, t, session)
		out := s.chatBodyOf(t, &a)
		err := loadErr
		if err == nil {
			err = s.saveChat(ctx, t, stored, session)
		}
		if consult.HasCode(err, consult.Conflict) && attempt < saveAttempts {
			continue
		}
		if a.Urgency.Red() && before.Rank() < a.Urgency.Rank() && found.Urgency != "" {
			s.noteEmergency(ctx, t.r, found)
		}
		if err != nil && !a.Urgency.Red() {
			return nil, err
		}
		if err != nil {
			s.Log.WarnContext(ctx, "an urgent conversation was answered, and not kept", "err", err)
		}
		return out, nil
	}
}

// chatTurn screens a message, answers it, has the model word it where it may, and
// screens what the model said.
func (s *server) chatTurn(ctx context.Context, t *talk, session *chat.Session) (chat.Answer, *emergency.Result) {
	now := s.Now().UTC()
	in := chat.Input{Message: t.body.Message, Language: t.language, Now: now, Help: t.help(), Profile: chat.Profile{
		AgeYears: t.profile.AgeYears, Medications: t.profile.Medications, Allergies: t.profile.Allergies,
	}}
	if t.profile.PregnantWeeks != nil {
		pregnant := true
		in.Profile.Pregnant = &pregnant
	}
	var worst *emergency.Result
	for i, text := range s.Chat.ToScreen(session, t.body.Message, now) {
		found := s.Emergency.Screen(emergency.Input{Text: text, Language: t.language, Profile: t.profile})
		in.Screen = join(in.Screen, &found, t.lines)
		if worst == nil || !worst.Urgency.AtLeast(found.Urgency) {
			worst = &found
		}
		if c, ok := s.Emergency.(concepts); ok && i == 0 {
			for _, k := range c.Concepts(emergency.Input{Text: text, Profile: t.profile}) {
				in.Screen.Concepts = append(in.Screen.Concepts, chat.Concept{ID: k.ID, Denied: k.Denied})
			}
		}
	}
	a := s.Chat.Answer(session, in)
	t.start(s, &a)
	return s.worded(ctx, t, session, in, a), worst
}

func (t *talk) help() chat.Help {
	h := chat.Help{Number: t.lines.Numbers[0]}
	if c := t.lines.Crisis; c != nil {
		h.CrisisName, h.CrisisCall = c.Name, c.Number
	}
	return h
}

// join adds a finding to what other texts of the conversation came to.
func join(to chat.Screen, f *emergency.Result, lines Lines) chat.Screen {
	level := chat.Urgency(f.Urgency)
	if to.Urgency == "" || level.Rank() > to.Urgency.Rank() {
		to.Urgency = level
		to.Actions = nil
		if level.Red() {
			to.Actions = sentencesOf(actionsWith(f, lines))
		}
	}
	to.Crisis = to.Crisis || f.CrisisLine
	for _, flag := range flagsOf(f) {
		if !slices.ContainsFunc(to.Flags, func(k chat.Flag) bool { return k.Rule == flag.Rule }) {
			to.Flags = append(to.Flags, flag)
		}
	}
	return to
}

func flagsOf(f *emergency.Result) []chat.Flag {
	var out []chat.Flag
	for _, r := range f.RedFlags {
		out = append(out, chat.Flag{Rule: r.Rule, Condition: r.Condition, Level: chat.Urgency(r.Level), Guideline: r.Guideline, Words: r.Words})
	}
	return out
}

// sentencesOf are actions with an end, to be read one after the other.
func sentencesOf(actions []string) []string {
	out := make([]string, 0, len(actions))
	for _, a := range actions {
		if !strings.HasSuffix(a, ".") {
			a += "."
		}
		out = append(out, a)
	}
	return out
}

// worded has the model word an answer. Whatever goes wrong, our own stands.
func (s *server) worded(ctx context.Context, t *talk, session *chat.Session, in chat.Input, a chat.Answer) chat.Answer {
	if s.ChatModel == nil || !a.Replaceable() {
		return a
	}
	if !t.modelled {
		t.modelled = true
		var err error
		if t.model, err = s.ChatModel.Answer(ctx, s.Chat.BriefOf(session, in, a), t.saying(s)); err != nil {
			s.Log.WarnContext(ctx, "chat model not used", "engine", s.ChatModel.Name(), "err", err)
		}
	}
	if t.model == nil || t.model.Check(a.Language, a.Urgency) != nil {
		return a
	}
	// What it says there is, is screened as the patient's words are.
	level, flags := s.alarms(t, t.model.Response)
	if level = level.AtLeast(t.model.Urgency); level.Red() {
		return s.Chat.Raise(session, a, level, flags, in.Help)
	}
	return s.Chat.Adopt(session, a, t.model, s.ChatModel.Name())
}

// learned is the screen's second reading. It was learned from what patients write,
// and takes advice for complaints.
const learned = "second_reading"

// alarms are the screen's rules that a model's answer meets in what it asserts.
func (s *server) alarms(t *talk, answer string) (level chat.Urgency, flags []chat.Flag) {
	found := s.Emergency.Screen(emergency.Input{Text: chat.Assertions(answer), Language: t.language, Profile: t.profile})
	level = chat.Low
	for _, f := range flagsOf(&found) {
		if f.Rule != learned {
			level = level.AtLeast(f.Level)
			flags = append(flags, f)
		}
	}
	return level, flags
}

// saying passes on what the model says while nothing of it is alarming.
func (t *talk) saying(s *server) func(string) {
	if t.tell == nil {
		return nil
	}
	quiet := false
	return func(sentence string) {
		level, _ := s.alarms(t, sentence)
		if quiet = quiet || level.Red(); !quiet {
			t.tell("delta", deltaBody{sentence})
		}
	}
}

// newChat is a conversation that is not stored yet.
func (s *server) newChat(t *talk) *consult.ChatSession {
	return &consult.ChatSession{
		Scope: t.r.key.Scope, ID: t.body.SessionID, PatientID: t.body.PatientID, CreatedAt: s.Now().UTC(), UpdatedAt: s.Now().UTC(),
	}
}

// chatSession reads a conversation; a nil one is not there. One that does not open,
// because another secret sealed it, begins anew.
func (s *server) chatSession(ctx context.Context, sc consult.Scope, id string) (*consult.ChatSession, *chat.Session, error) {
	stored, err := s.ChatSessions.ChatSession(ctx, sc, id)
	if consult.HasCode(err, consult.NotFound) {
		return nil, &chat.Session{}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	plain, err := s.sealer.open(stored.Content, chatContext(sc, id))
	var session *chat.Session
	if err == nil {
		session, err = chat.DecodeSession(plain)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "a stored conversation begins anew", "err", err)
		session = &chat.Session{}
	}
	return stored, session, nil
}

// chatContext binds a sealed conversation to its place.
func chatContext(sc consult.Scope, id string) string {
	return "chat " + sc.AccountID + " " + string(sc.Mode) + " " + id
}

func (s *server) saveChat(ctx context.Context, t *talk, stored *consult.ChatSession, session *chat.Session) error {
	plain, err := session.Encode()
	if err != nil {
		return err
	}
	stored.Content = s.sealer.seal(plain, chatContext(stored.Scope, stored.ID))
	stored.UpdatedAt = s.Now().UTC()
	if stored.PatientID == "" {
		stored.PatientID = t.body.PatientID
	}
	return s.ChatSessions.SaveChatSession(ctx, stored)
}

func (s *server) chatBodyOf(t *talk, a *chat.Answer) *chatBody {
	b := &chatBody{
		Response: a.Text, SessionID: t.body.SessionID, Disclaimer: a.Disclaimer, Urgency: a.Urgency, Questions: list(a.Questions),
		Timestamp: rfc3339(s.Now()), Language: a.Language, Engine: a.Engine, Sources: []chatSourceBody{},
		RedFlags: chatFlags(a.Flags), CrisisLine: lineOf(t.lines.Crisis, a.Crisis),
	}
	for _, src := range a.Sources {
		b.Sources = append(b.Sources, chatSourceBody(src))
	}
	if a.Urgency.Red() {
		b.Number = &t.lines.Numbers[0]
	}
	return b
}

func chatFlags(flags []chat.Flag) []redFlagBody {
	out := make([]redFlagBody, 0, len(flags))
	for _, f := range flags {
		out = append(out, redFlagBody{
			Rule: f.Rule, Condition: f.Condition, Urgency: emergency.Urgency(f.Level), Guideline: f.Guideline, Words: list(f.Words),
		})
	}
	return out
}

// openChats puts the words of conversations into a patient's export: the store has
// them sealed.
func (s *server) openChats(sc consult.Scope, export any) (any, error) {
	raw, err := json.Marshal(export)
	if err != nil {
		return nil, err
	}
	var whole map[string]json.RawMessage
	var tables map[string][]map[string]any
	if json.Unmarshal(raw, &whole) != nil || json.Unmarshal(whole["tables"], &tables) != nil || len(tables["chat_sessions"]) == 0 {
		return export, nil //nolint:nilerr // an export of another form has none
	}
	for _, row := range tables["chat_sessions"] {
		id, _ := row["session_id"].(string)
		content, _ := row["content"].(string)
		if plain, ok := s.openStored(content, chatContext(sc, id)); ok {
			row["content"] = plain
		}
	}
	if whole["tables"], err = json.Marshal(tables); err != nil {
		return nil, err
	}
	return whole, nil
}
