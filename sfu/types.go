package sfu

import "github.com/chatmed/chatmed/internal/consult"

// Intent says what one of the offer's own m-lines carries.
type Intent struct {
	Mid    string
	Source string // consult.SourceMicrophone, …
	Muted  bool
}

// Slot is a receive pair of m-lines and whose media flows in it. ParticipantID
// and Source are empty while it is free.
type Slot struct {
	Index         int
	AudioMid      string
	VideoMid      string
	ParticipantID string
	Source        string // consult.SourceCamera (with microphone) or SourceScreen (with screen audio)
}

// JoinRequest is everything the SFU needs to let a participant in.
type JoinRequest struct {
	RoomID        string
	ParticipantID string
	Grants        consult.Grants
	OfferSDP      string
	Intents       []Intent
	Observer      Observer
}

// Observer hears about one participant. Its methods are called without any
// lock held, one at a time per participant. They must not block and must not
// call Close, which may wait for them; a call may still be under way when Close
// returns.
type Observer interface {
	// SlotsChanged carries the whole mapping.
	SlotsChanged(slots []Slot)
	// MediaChanged says whether media can flow to and from the client:
	// "connected"; "disconnected" while nothing is heard of it; "failed" once the
	// transport has ended, by silence or by the client's own doing. Only a new
	// PeerConnection helps then.
	MediaChanged(state string)
	// SendChanged says what of its pictures the client should send, by source: the
	// encodings in the order of the offer. A source that is not named is unbounded.
	SendChanged(sources map[string][]SendLayer)
	// SpeakerChanged names the participant who speaks, "" when nobody has or who
	// did is gone.
	SpeakerChanged(participantID string)
	// QualityChanged says how the call is for this client.
	QualityChanged(q Quality)
	// StalledChanged names this client's sources of which nothing comes, though
	// they are not muted; it begins with none.
	StalledChanged(sources []string)
}

// Answer is the server's side of an offer.
type Answer struct {
	SDP   string
	Slots []Slot
}
