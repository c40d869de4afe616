package consult

import "time"

// ChatSession is a conversation with the medical chat, as it is stored.
type ChatSession struct {
	Scope Scope
	ID    string // the caller's own, or one of ours
	// PatientID is whose conversation it is; "" where nobody said.
	PatientID string
	// Content is sealed by whoever stores it.
	Content              []byte
	Version              int64 // 0 before it is first stored
	CreatedAt, UpdatedAt time.Time
}

// PrefixChatSession begins ids of conversations of ours.
const PrefixChatSession = "sess"

// EventChatSessionDeleted stands in the audit log alone.
const EventChatSessionDeleted EventType = "chat.session_deleted"
