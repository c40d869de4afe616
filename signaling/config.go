package signaling

import "time"

// Config is what an operator may set.
type Config struct {
	// Origins are the origins of our own pages, as scheme://host[:port]. A
	// handshake with another Origin is refused; one without any is a native
	// client and passes.
	Origins []string
	// ResumeGrace is how long a participant whose WebSocket dropped in the call
	// keeps their place and their media.
	ResumeGrace time.Duration
	// WaitingGrace is the same for those who wait; it equals the waiting room's.
	WaitingGrace time.Duration
	// EmptyGrace is how long an active consultation lasts with neither doctor
	// nor patient present.
	EmptyGrace time.Duration
	// PollEvery is how often a node looks for revocations that the bus lost.
	PollEvery time.Duration
	// MaxParticipants bounds a room. Doctor and patient always find a place.
	MaxParticipants int
	Limits          Limits
}

// Limits are the bounds of docs/signaling.md §7.
type Limits struct {
	MessageBytes  int64         // largest client message
	FirstMessage  time.Duration // until a successful join, resume or watch
	Undecided     time.Duration // the same after already_connected: a person is asked
	PerSecond     float64       // client messages
	Burst         int
	QueueMessages int // outgoing, not yet written
	QueueBytes    int
	PingEvery     time.Duration
	PongWithin    time.Duration // after the ping
	WriteWithin   time.Duration
	CloseWithin   time.Duration // for the closing handshake
}

// DefaultConfig returns the documented bounds and grace periods.
func DefaultConfig() Config {
	return Config{
		ResumeGrace:     time.Minute,
		WaitingGrace:    3 * time.Minute,
		EmptyGrace:      3 * time.Minute,
		PollEvery:       500 * time.Millisecond,
		MaxParticipants: 16,
		Limits: Limits{
			MessageBytes:  256 << 10,
			FirstMessage:  10 * time.Second,
			Undecided:     2 * time.Minute,
			PerSecond:     50,
			Burst:         100,
			QueueMessages: 256,
			QueueBytes:    1 << 20,
			PingEvery:     10 * time.Second,
			PongWithin:    10 * time.Second,
			WriteWithin:   10 * time.Second,
			CloseWithin:   2 * time.Second,
		},
	}
}

// Deadlines of the work a message causes.
const (
	callTimeout   = 5 * time.Second  // one call of the store, the waiting room or the token check
	mediaTimeout  = 15 * time.Second // one offer answered, with all candidates gathered
	pickUpTimeout = time.Minute      // the look at every unfinished consultation after a restart
	retryAfter    = 2 * time.Second  // after a store that did not answer
	jobQueue      = 4                // offers of one participant waiting to be answered
)
