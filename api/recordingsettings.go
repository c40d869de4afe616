package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/wording"
)

func (s *server) recordingSettingsRoutes() []route {
	const settings = "/api/v1/recordings/settings"
	return []route{
		{http.MethodGet, settings, s.recordingSettings},
		{http.MethodPut, settings, s.setRecordingSettings},
	}
}

// RecordingSettings keeps what an account wants of its recordings (the store).
type RecordingSettings interface {
	RecordingSettings(ctx context.Context, sc consult.Scope) (*consult.RecordingSettings, error)
	SetRecordingSettings(ctx context.Context, v *consult.RecordingSettings, events []consult.Event) error
}

// RecordingKeys reads public keys that recordings are encrypted to.
type RecordingKeys interface {
	// Recipient returns an age public key as it is stored, and the name that
	// recordings give to it. Its error repeats nothing of what was given.
	Recipient(given string) (recipient, fingerprint string, err error)
}

type recordingSettingsBody struct {
	Keeper        *string       `json:"keeper"`
	KeptBy        string        `json:"kept_by"`
	RetentionDays int           `json:"retention_days"`
	Recipient     *string       `json:"recipient"`
	Fingerprint   *string       `json:"recipient_fingerprint"`
	UpdatedAt     *string       `json:"updated_at"`
	Wordings      []wordingBody `json:"wordings"`
}

func (s *server) recordingSettings(ctx context.Context, r *request) (any, error) {
	v, err := s.RecordingSettings.RecordingSettings(ctx, r.key.Scope)
	if err != nil {
		return nil, err
	}
	out := recordingSettingsBody{
		Keeper: optional(v.Keeper), KeptBy: v.KeptBy(), RetentionDays: v.RetentionDays, Recipient: optional(v.Recipient),
		UpdatedAt: optionalTime(v.UpdatedAt),
	}
	if v.Recipient != "" {
		_, fingerprint, err := s.RecordingKeys.Recipient(v.Recipient)
		if err != nil {
			return nil, err // it was let in as a key
		}
		out.Fingerprint = &fingerprint
	}
	for _, w := range wording.All(v.KeptBy(), v.RetentionDays) {
		out.Wordings = append(out.Wordings, wordingBody{ID: w.ID, Language: w.Language, Hash: w.Hash, Text: &w.Text})
	}
	return out, nil
}

type setRecordingSettings struct {
	Keeper        *string `json:"keeper"`
	RetentionDays int     `json:"retention_days"`
	Recipient     *string `json:"recipient"`
}

// setRecordingSettings replaces the settings, for recordings that begin later.
func (s *server) setRecordingSettings(ctx context.Context, r *request) (any, error) {
	var b setRecordingSettings
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	now := s.Now().UTC()
	v := &consult.RecordingSettings{Scope: r.key.Scope, RetentionDays: b.RetentionDays, UpdatedAt: &now}
	var fields []consult.FieldError
	if b.Keeper != nil {
		v.Keeper = strings.TrimSpace(*b.Keeper)
		if strings.ContainsFunc(v.Keeper, steers) || utf8.RuneCountInString(v.Keeper) > consult.MaxKeeper {
			fields = append(fields, consult.FieldError{Field: "keeper", Message: "must be a name on one line, of at most 120 characters"})
		}
	}
	fingerprint := ""
	if b.Recipient != nil && *b.Recipient != "" {
		var err error
		if v.Recipient, fingerprint, err = s.RecordingKeys.Recipient(*b.Recipient); err != nil {
			fields = append(fields, consult.FieldError{Field: "recipient", Message: "must be an age X25519 public key (age1…)"})
		}
	}
	if len(fields) > 0 {
		return nil, &consult.Error{Code: consult.ValidationError, Message: messageInvalid, Fields: fields}
	}
	data, err := json.Marshal(map[string]any{"retention_days": v.RetentionDays, "recipient": fingerprint, "keeper_set": v.Keeper != ""})
	if err != nil {
		return nil, err
	}
	err = s.RecordingSettings.SetRecordingSettings(ctx, v, []consult.Event{{
		ID: consult.NewID(consult.PrefixEvent), Type: consult.EventRecordingsSettings, Scope: r.key.Scope,
		Actor: r.actor(), At: now, Data: data,
	}})
	if err != nil {
		return nil, err
	}
	return s.recordingSettings(ctx, r)
}

// steers reports whether a character has no place in a name: control characters,
// line separators and those that turn the direction of the text around them.
func steers(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
