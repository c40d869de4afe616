// Package forward decides what one subscriber gets of the streams it is
// subscribed to, and how the packets are numbered for it. It is pure: it knows
// neither sockets nor clocks nor goroutines (the time is passed in), takes no
// lock and allocates nothing per packet.
//
//   - Inspect parses a payload once per incoming packet; all subscribers share
//     the Info.
//   - Activity tells, per publication, which simulcast layers are alive.
//   - Selector, per subscription, picks the layer and says when a key frame is
//     needed. KeyFrameThrottle, per source, turns such wishes into requests.
//   - Rewriter, per subscription, numbers the chosen packets as one continuous
//     stream and remembers the mapping to answer NACKs.
//   - ClockMap, per participant, puts its sender reports on the server's clock.
//
// Unless said otherwise a value belongs to the goroutine that forwards to its
// subscriber.
package forward

import "strings"

// Codec names a payload format.
type Codec uint8

// The formats known to Inspect.
const (
	CodecUnknown Codec = iota
	CodecOpus
	CodecRED
	CodecVP8
	CodecVP9
	CodecH264
	CodecAV1
)

// ParseCodec returns the codec of a MIME type such as "video/VP8", CodecUnknown
// for any other.
func ParseCodec(mime string) Codec {
	switch strings.ToLower(mime) {
	case "audio/opus":
		return CodecOpus
	case "audio/red":
		return CodecRED
	case "video/vp8":
		return CodecVP8
	case "video/vp9":
		return CodecVP9
	case "video/h264":
		return CodecH264
	case "video/av1":
		return CodecAV1
	}
	return CodecUnknown
}

// Audio reports whether the codec is an audio format.
func (c Codec) Audio() bool { return c == CodecOpus || c == CodecRED }

// Info is what forwarding needs to know of one payload.
type Info struct {
	// KeyFrame: a receiver that has seen nothing can start at this packet.
	// Always true for audio.
	KeyFrame bool
	// Sync: a receiver of lower temporal layers may go up to TID here (VP8 Y, VP9 U).
	Sync bool
	// TID and SID are the temporal and spatial layer, 0 where the payload names none.
	TID, SID uint8
	// Inter, Start and End describe the layer frame of a source with spatial layers
	// (VP9 P, B and E): whether it refers to earlier pictures, and whether this is
	// its first or last packet.
	Inter, Start, End bool

	desc descriptor
}

// descriptor locates the running numbers of a VP8 or VP9 payload descriptor. The
// picture id comes first; TL0PICIDX follows directly (VP8) or after the layer
// byte (VP9).
type descriptor struct {
	pic     uint16
	picOff  uint8
	picBits uint8 // 0, 7 or 15
	tl0Off  uint8 // 0: no TL0PICIDX
	tl0     uint8
	layer   uint8 // the byte between the two, VP9 only
}

// Inspect parses a payload without padding. ok is false when it is empty or
// breaks its format; hand such a packet on with Size 0, and it is left out like
// padding.
func Inspect(c Codec, payload []byte) (info Info, ok bool) {
	switch c {
	case CodecOpus:
		return Info{KeyFrame: true}, len(payload) > 0
	case CodecRED:
		_, _, ok = PrimaryRED(payload)
		return Info{KeyFrame: true}, ok
	case CodecVP8:
		d, ok := ParseVP8(payload)
		return d.info(), ok
	case CodecVP9:
		d, ok := ParseVP9(payload)
		return d.info(), ok
	case CodecH264:
		key, ok := InspectH264(payload)
		return Info{KeyFrame: key}, ok
	case CodecAV1:
		d, ok := ParseAV1(payload)
		return Info{KeyFrame: d.KeyFrame, TID: d.TID, SID: d.SID}, ok
	}
	return Info{}, false
}
