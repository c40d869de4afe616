package consult

import "time"

// TicketStatus is the state of a place in the waiting room.
type TicketStatus string

// queued → ready ⇄ away → admitted; or left, declined, transferred, expired.
const (
	TicketQueued      TicketStatus = "queued" // entered by REST, page not open
	TicketReady       TicketStatus = "ready"  // page open
	TicketAway        TicketStatus = "away"   // dropped, grace running
	TicketAdmitted    TicketStatus = "admitted"
	TicketLeft        TicketStatus = "left"
	TicketDeclined    TicketStatus = "declined"
	TicketTransferred TicketStatus = "transferred"
	TicketExpired     TicketStatus = "expired"
)

// Open reports whether the ticket still holds a place in the queue.
func (s TicketStatus) Open() bool {
	return s == TicketQueued || s == TicketReady || s == TicketAway
}

// Ticket is a patient's place in a doctor's waiting room.
type Ticket struct {
	ID          string
	Scope       Scope
	SessionID   string
	DoctorID    string
	PatientID   string
	PatientName string
	Reason      string // chief complaint, patient data: never logged
	Language    string
	// Country is where the patient is, ISO 3166-1 alpha-2, or "".
	Country string
	// Screening is the most urgent that the reasons she gave were found to be.
	Screening Screening
	Status    TicketStatus
	// Rank orders the queue: smaller is earlier. It starts as the arrival
	// number of the doctor's queue.
	Rank       int64
	JoinedAt   time.Time
	ReadyAt    *time.Time // first time the page was open
	AwayAt     *time.Time // set while away
	AdmittedAt *time.Time
	ClosedAt   *time.Time
	UpdatedAt  time.Time
	// Version grows with every change; a write with an older version loses.
	Version int64
}

// Estimate is how long a patient will probably still wait. Known is false
// while there is too little to say.
type Estimate struct {
	Known bool
	// Expected is the middle of the range.
	Expected time.Duration
	Low      time.Duration
	High     time.Duration
}

// QueuePlace is a ticket as its patient and its doctor see it.
type QueuePlace struct {
	Ticket Ticket
	// Position counts from 1 among open tickets of the doctor; 0 when closed.
	Position int
	Estimate Estimate
	// DoctorNotified says that the doctor's page or webhook has been told.
	DoctorNotified bool
}
