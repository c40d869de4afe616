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
// lock held, one at a time per participant, and must not block.
type Observer interface {
	// SlotsChanged carries the whole mapping.
	SlotsChanged(slots []Slot)
	// MediaChanged says whether media is flowing to and from the client:
	// "connecting", "connected", "disconnected", "failed", "closed".
	MediaChanged(state string)
}

// Answer is the server's side of an offer.
type Answer struct {
	SDP   string
	Slots []Slot
}
