package recording

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/journal"
)

// Chain keeps what people said to being recorded.
type Chain interface {
	// AppendConsent makes c the next link of its consultation's chain.
	AppendConsent(ctx context.Context, c *consult.Consent, ev []consult.Event) error
	// Consents returns the chain, oldest first.
	Consents(ctx context.Context, sc consult.Scope, sessionID string) ([]consult.Consent, error)
}

// Records keeps recordings. A write is one transaction with its events.
type Records interface {
	CreateRecording(ctx context.Context, r *consult.Recording, ev []consult.Event) error
	// ChangeRecording locks the row, calls change and stores the result with its
	// events; without any it stores nothing. change may be called more than once.
	ChangeRecording(ctx context.Context, sc consult.Scope, id string,
		change func(*consult.Recording) ([]consult.Event, error)) (*consult.Recording, error)
	Recording(ctx context.Context, sc consult.Scope, id string) (*consult.Recording, error)
	// OpenRecordings lists those that are not over, in all scopes.
	OpenRecordings(ctx context.Context) ([]consult.Recording, error)
	RecordingSettings(ctx context.Context, sc consult.Scope) (*consult.RecordingSettings, error)
}

// Expiry is how recordings go.
type Expiry interface {
	// ExpiredRecordings lists at most limit whose term is over, in all scopes:
	// none that is held, deleted or at work.
	ExpiredRecordings(ctx context.Context, now time.Time, limit int) ([]consult.Recording, error)
	// UnpurgedRecordings lists at most limit deleted ones whose objects may still
	// be there, in all scopes; RecordingPurged says that they are not.
	UnpurgedRecordings(ctx context.Context, limit int) ([]consult.Recording, error)
	RecordingPurged(ctx context.Context, sc consult.Scope, id string, at time.Time) error
}

// Store is everything that is kept in the database.
type Store interface {
	Chain
	Records
	Expiry
}

// Consultations tells what became of a consultation.
type Consultations interface {
	Get(ctx context.Context, sc consult.Scope, id string) (*consult.Consultation, error)
}

// Bus is consult.Bus.
type Bus interface {
	Publish(ctx context.Context, topic string, payload []byte) error
}

// Blobs keeps finished segments.
type Blobs interface {
	// Upload stores the file under key. It goes on where an interrupted upload of
	// the same file ended, and changes nothing when the object is there already.
	Upload(ctx context.Context, key, path string) error
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Composer makes playable files of a stored recording. Neither method blocks.
type Composer interface {
	// Cancel gives the recording up, which was deleted.
	Cancel(recordingID string)
	Queue(sc consult.Scope, recordingID string)
}

// Vault says whom a recording is encrypted to.
type Vault interface {
	// Recipient is the server's own age recipient.
	Recipient() string
	// Fingerprint names a recipient as consult.Recording does.
	Fingerprint(recipient string) string
}

// Capturer writes what a room's participants publish.
type Capturer interface {
	// Capture begins, shut. It returns an error when nothing can be written.
	Capture(s Segment) (Capture, error)
	// Inspect reads a segment that a crash left, as far as it goes, with nothing
	// but bytes and checksum where the server does not hold the key.
	Inspect(ctx context.Context, path string) (Summary, error)
}

// Segment is one file of a recording.
type Segment struct {
	RoomID    string
	Path      string
	Header    journal.Header
	Recipient string // age1…
	// OnFail is called at most once, from any goroutine, when nothing more is
	// written: what came until then stays.
	OnFail func(reason string)
}

// Capture is a segment being written. Open and Shut return at once; after Shut
// has returned nothing that arrives reaches the file.
type Capture interface {
	// Open takes what these participants publish from the next packet on, and
	// what nobody else does. It may be called again with others. While anybody
	// else is in the room it is shut and reports false.
	Open(people []Member) bool
	Shut(reason string)
	// Close shuts, writes what is waiting and ends the file in order.
	Close(ctx context.Context, reason string) (Summary, error)
	// Summary is what has been captured until now, without the checksum.
	Summary() Summary
}

// Member is a participant whose media is captured.
type Member struct {
	ParticipantID string
	Role          consult.Role
	Name          string
}

// Summary is what a segment holds. Offsets of gaps count from the recording's
// start.
type Summary struct {
	Bytes    int64                    `json:"bytes"`
	SHA256   string                   `json:"sha256"`
	Duration time.Duration            `json:"duration"` // the gate was open
	Tracks   []consult.RecordingTrack `json:"tracks"`
	Gaps     []consult.RecordingGap   `json:"gaps"`
	// End is when the last of it was written, since the segment's start; 0: when
	// it was closed.
	End time.Duration `json:"end,omitempty"`
}

// Clock gives the time of day and wakes; tests drive their own.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f, which must not block, after d, unless stopped before.
	AfterFunc(d time.Duration, f func()) (stop func())
}

// Deps is everything a Service works with. Composer may be nil: then nothing
// is composed. All others are required.
type Deps struct {
	Store         Store
	Consultations Consultations
	Bus           Bus
	Blobs         Blobs
	Composer      Composer
	Vault         Vault
	Capturer      Capturer
	// Wordings are the texts in every language, of who keeps recordings and for
	// how many days.
	Wordings func(keeper string, days int) []consult.Wording
	Clock    Clock
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}
