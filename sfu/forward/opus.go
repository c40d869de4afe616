package forward

import "time"

// Opus is what the first byte of an Opus packet tells (RFC 6716 section 3.1).
type Opus struct {
	Stereo   bool
	Frames   int           // 1 to 48
	Duration time.Duration // of the whole packet
	Samples  uint32        // the same at 48 kHz, the RTP clock (RFC 7587)
	// Silence: too short to hold sound, as sent in discontinuous transmission.
	Silence bool
}

// maxOpusSamples is 120 ms, the longest packet allowed.
const maxOpusSamples = 5760

// ParseOpus reads the table-of-contents byte. ok is false when the packet is
// empty or longer than Opus allows.
func ParseOpus(b []byte) (d Opus, ok bool) {
	if len(b) == 0 {
		return Opus{}, false
	}
	d.Stereo = b[0]&0x04 != 0
	d.Silence = len(b) <= 2
	switch b[0] & 0x03 {
	case 0:
		d.Frames = 1
	case 1, 2:
		d.Frames = 2
	case 3:
		if len(b) < 2 {
			return Opus{}, false
		}
		d.Frames = int(b[1] & 0x3f)
	}
	d.Samples = uint32(d.Frames) * opusFrameSamples(b[0]>>3)
	d.Duration = time.Duration(d.Samples) * time.Second / 48000
	return d, d.Frames > 0 && d.Samples <= maxOpusSamples
}

// opusFrameSamples returns a frame's length at 48 kHz (RFC 6716 table 2).
func opusFrameSamples(config byte) uint32 {
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		if config&3 == 3 {
			return 2880
		}
		return 480 << (config & 3)
	case config < 16: // hybrid: 10, 20 ms
		return 480 << (config & 1)
	default: // CELT: 2.5, 5, 10, 20 ms
		return 120 << (config & 3)
	}
}
