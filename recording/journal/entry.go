// Package journal is the form in which a recording is captured: one append-only
// file per segment with everything of all tracks on one clock, the server's, in
// the order it came. Media is stored as it was received, RTP payload by RTP
// payload, so nothing is decoded, reordered or thrown away while the call runs;
// a reader has all the time it wants to do so.
//
// A file is a sequence of frames. Each frame is a whole age file
// (age-encryption.org/v1) of at most a second of entries, preceded by its length,
// so that a crash costs the last frame at most, and any implementation of age can
// open one. A frame carries its number and the hash of the one before: a frame
// that was left out, moved or exchanged is found out.
package journal

import "time"

// Codec names, as in RFC 8843's rtpmap, lower case.
const (
	Opus = "opus"
	RED  = "red" // RFC 2198 around Opus
	VP8  = "vp8"
	H264 = "h264"
	VP9  = "vp9"
	AV1  = "av1"
)

// Entry is one of the types below.
type Entry interface{ entry() }

// Header is the first entry of a segment.
type Header struct {
	RecordingID string    `json:"recording_id"`
	SessionID   string    `json:"session_id"`
	Segment     int       `json:"segment"` // from 0
	StartedAt   time.Time `json:"started_at"`
	// RecordingStartedAt is the start of segment 0: the zero of the timeline that
	// all segments share.
	RecordingStartedAt time.Time `json:"recording_started_at"`
}

// Track announces what one participant publishes of one source. The name is the
// one shown in the room, at that time. It comes again when the name changes.
type Track struct {
	ID            uint16 `json:"id"` // from 1, in its segment
	ParticipantID string `json:"participant_id"`
	Role          string `json:"role"`
	Name          string `json:"name"`
	Source        string `json:"source"` // microphone, camera, screen, screen_audio
	Kind          string `json:"kind"`   // audio, video
}

// Stream announces one incoming RTP stream (an SSRC) of a track. Sequence
// numbers and timestamps are comparable within a stream only.
type Stream struct {
	ID        uint32 `json:"id"` // from 1, in its segment
	Track     uint16 `json:"track"`
	Layer     uint8  `json:"layer"` // simulcast rank, lowest 0
	ClockRate uint32 `json:"clock_rate"`
}

// Packet is one RTP packet. Packets of a stream may come in any order, for a
// repeated one follows those it was lost before; none comes twice.
type Packet struct {
	Stream    uint32
	At        time.Duration // of arrival, since the segment's StartedAt
	ExtSeq    uint64        // extended sequence number
	Timestamp uint32
	Marker    bool
	KeyFrame  bool
	Codec     string
	// Orientation is the video orientation of 3GPP TS 26.114 as received (bits
	// 0-1: clockwise quarter turns needed, bit 2: flip, bit 3: back camera), -1
	// where the packet has none.
	Orientation int8
	Payload     []byte // without RTP header and padding; empty, without a Codec, for padding alone
}

// Report is a sender report of a stream (RFC 3550 section 6.4.1): the
// publisher's wall clock at an RTP time. The newest one that came before the
// stream was taken is there too, so At may lie before the gate opened, and be
// negative.
type Report struct {
	Stream uint32
	At     time.Duration
	NTP    uint64
	RTP    uint32
}

// Gate says that from At on packets are taken (Open) or not.
type Gate struct {
	At     time.Duration `json:"at"`
	Open   bool          `json:"open"`
	Reason string        `json:"reason,omitempty"`
}

// Muted says that a source is muted or not.
type Muted struct {
	Track uint16        `json:"track"`
	At    time.Duration `json:"at"`
	Muted bool          `json:"muted"`
}

// Dropped says that packets were received and not written between two times.
type Dropped struct {
	Track   uint16        `json:"track"`
	From    time.Duration `json:"from"`
	To      time.Duration `json:"to"`
	Packets int64         `json:"packets"`
}

// End is the last entry of a segment that was closed in order.
type End struct {
	At     time.Duration `json:"at"`
	Reason string        `json:"reason"`
}

func (Header) entry()  {}
func (Track) entry()   {}
func (Stream) entry()  {}
func (*Packet) entry() {}
func (Report) entry()  {}
func (Gate) entry()    {}
func (Muted) entry()   {}
func (Dropped) entry() {}
func (End) entry()     {}
