package consult

import "time"

// RecordingState is how far a recording has come.
type RecordingState string

// recording ⇄ paused → stored → composing → ready; failed from any of them;
// deleted from stored, ready and failed.
const (
	RecordingRunning   RecordingState = "recording" // the gate is open
	RecordingPaused    RecordingState = "paused"    // started, and the gate is closed
	RecordingStored    RecordingState = "stored"    // over; what was captured lies in the store
	RecordingComposing RecordingState = "composing"
	RecordingReady     RecordingState = "ready" // a playable file is there
	RecordingFailed    RecordingState = "failed"
	RecordingDeleted   RecordingState = "deleted"
)

// Over reports whether nothing is captured any more.
func (s RecordingState) Over() bool { return s != RecordingRunning && s != RecordingPaused }

// Reasons of a recording's state, and of its end.
const (
	RecordingNoConsent = "consent"   // somebody present has not granted
	RecordingStopped   = "stopped"   // by the doctor or the API
	RecordingCallEnded = "call_over" // with the consultation
	RecordingDisk      = "storage"   // the storage is full, slow or failing
	RecordingComposed  = "composition"
	RecordingLost      = "interrupted" // the server stopped and the call did not go on
	// Of a deleted one.
	RecordingErased  = "erasure"   // with everything of its patient
	RecordingExpired = "retention" // its term was over
	RecordingRemoved = "deletion"  // somebody asked for it
)

// Recording is what was captured of one consultation from one start to the stop
// that follows. A restart of the server within it begins a further segment.
type Recording struct {
	ID        string
	Scope     Scope
	SessionID string
	DoctorID  string
	PatientID string
	State     RecordingState
	Reason    string
	StartedAt time.Time
	StoppedAt *time.Time
	// Duration is how long the gate was open.
	Duration time.Duration
	// Recipient names the key it is encrypted to: the SHA-256 of the age
	// recipient, first 16 hexadecimal digits. ServerKey says that the server holds
	// its identity, and so may compose.
	Recipient string
	ServerKey bool
	Segments  []RecordingObject
	Tracks    []RecordingTrack
	Gaps      []RecordingGap
	// Files are playable: the composed ones and single tracks.
	Files []RecordingFile
	// Progress of a composition, 0 to 1.
	Progress    float64
	LegalHold   bool
	RetainUntil *time.Time // nil: for ever
	DeletedAt   *time.Time
	DeletedBy   Actor
	// Purged says of a deleted one that its objects are gone from the blob store.
	Purged bool
}

// Objects lists everything the recording has in the blob store.
func (r *Recording) Objects() []RecordingObject {
	out := append([]RecordingObject(nil), r.Segments...)
	for _, f := range r.Files {
		out = append(out, f.Object)
	}
	return out
}

// RecordingFilter narrows a list of recordings; an empty field is any. From and
// To bound StartedAt: [From, To).
type RecordingFilter struct {
	SessionID, DoctorID, PatientID string
	State                          RecordingState
	From, To                       *time.Time
}

// RecordingObject is one stored object.
type RecordingObject struct {
	Key    string `json:"key"` // in the blob store
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // of the stored bytes, lower-case hexadecimal
}

// RecordingTrack is what one participant published of one source.
type RecordingTrack struct {
	ID            int    `json:"id"`
	ParticipantID string `json:"participant_id"`
	Role          Role   `json:"role"`
	Source        string `json:"source"` // SourceMicrophone, …
	Codec         string `json:"codec"`  // opus, vp8, h264, vp9, av1: the last used
	Packets       int64  `json:"packets"`
	Bytes         int64  `json:"bytes"`   // of payload
	Lost          int64  `json:"lost"`    // packets that never came
	Dropped       int64  `json:"dropped"` // that came and were not written, for the storage was slow
}

// RecordingGap is a time in which a track, or with Track 0 the whole recording,
// has nothing. Offsets count from the recording's start.
type RecordingGap struct {
	Track  int           `json:"track,omitempty"`
	From   time.Duration `json:"from"`
	To     time.Duration `json:"to"`
	Reason string        `json:"reason"` // consent, loss, storage, interrupted
}

// RecordingFile is a playable file.
type RecordingFile struct {
	ID        string          `json:"id"`   // composed-webm, composed-mp4, track-<n>
	Type      string          `json:"type"` // media type
	Object    RecordingObject `json:"object"`
	PlainSize int64           `json:"plain_size"` // bytes after decryption
	Duration  time.Duration   `json:"duration"`
}

// RecordingSettings are an account's, for one mode.
type RecordingSettings struct {
	Scope Scope
	// Keeper is who keeps the recordings, as people are told; empty: the
	// account's name.
	Keeper string
	// RetentionDays is how long, 0: until it is deleted.
	RetentionDays int
	// Recipient is an age X25519 public key (age1…); empty: the server's vault.
	Recipient string
	// AccountName is the account's, for reading alone.
	AccountName string
	// UpdatedAt is when they were set, nil while they never were.
	UpdatedAt *time.Time
}

// Bounds of an account's settings.
const (
	MaxKeeper        = 120    // characters
	MaxRetentionDays = 36_525 // a hundred years
)

// KeptBy is who keeps the recordings, as people are told.
func (s *RecordingSettings) KeptBy() string {
	if s.Keeper != "" {
		return s.Keeper
	}
	return s.AccountName
}

// RetainUntil is when a recording that was stopped at that time may go: nil,
// never by itself.
func (s *RecordingSettings) RetainUntil(stopped time.Time) *time.Time {
	if s.RetentionDays <= 0 {
		return nil
	}
	until := stopped.UTC().Add(time.Duration(s.RetentionDays) * 24 * time.Hour)
	return &until
}

// Events of recordings.
const (
	EventConsentGranted   EventType = "consent.granted"
	EventConsentDeclined  EventType = "consent.declined"
	EventConsentWithdrawn EventType = "consent.withdrawn"
	EventRecordingStarted EventType = "recording.started"
	EventRecordingPaused  EventType = "recording.paused"
	EventRecordingResumed EventType = "recording.resumed"
	EventRecordingStopped EventType = "recording.stopped"
	EventRecordingFailed  EventType = "recording.failed"
	EventRecordingSegment EventType = "recording.segment_stored"
	EventRecordingStored  EventType = "recording.stored" // all segments are
	EventRecordingReady   EventType = "recording.ready"
	// Somebody asked for the files again.
	EventRecordingAgain     EventType = "recording.recompose"
	EventRecordingDeleted   EventType = "recording.deleted"
	EventRecordingHeld      EventType = "recording.held"
	EventRecordingReleased  EventType = "recording.released"
	EventRecordingRead      EventType = "recording.downloaded"
	EventRecordingsSettings EventType = "recordings.settings"
	// In the audit log alone: the objects of a deleted one are gone.
	EventRecordingPurged EventType = "recording.purged"
)

// Fine reasons of recording.
const (
	ReasonRecordingDisabled = "recording_disabled" // enable_recording is false
	ReasonNotRecording      = "not_recording"
	ReasonRecordingHeld     = "legal_hold"
	ReasonRecordingKey      = "recording_key" // the server does not hold the key
	ReasonRecordingDeleted  = "recording_deleted"
	ReasonNotReady          = "recording_not_ready"
	ReasonLinkExpired       = "link_expired"
	ReasonLinkRevoked       = "link_revoked" // with the API key that made it
)
