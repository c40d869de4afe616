package consult

import "time"

// IdempotencyRecord is a request with an Idempotency-Key and, once Done, its
// answer. Body is opaque here: who keeps it seals it.
type IdempotencyRecord struct {
	Scope       Scope
	Key         string // unique in its scope
	OperationID string
	BodyHash    []byte
	Status      int
	Body        []byte
	Done        bool
	CreatedAt   time.Time // the time of the request: "now" for BeginIdempotent
	ExpiresAt   time.Time
	// Owner holds the key until LeaseUntil; after that another request may take
	// it over, as the first one's process must have died.
	Owner      string
	LeaseUntil time.Time
	// Subject is the patient the answer is about, if that is known; erasing that
	// patient erases the answer, as it does those of unknown subject.
	Subject string
}
