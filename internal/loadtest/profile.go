package loadtest

import (
	"fmt"
	"time"
)

// The profiles of what a publisher sends.
const (
	ProfileAudio     = "audio"
	ProfileCamera    = "camera"
	ProfileSmall     = "small" // a camera of few packets, for many rooms on few cores
	ProfileSimulcast = "simulcast"
)

const (
	audioInterval = 20 * time.Millisecond // one Opus frame
	audioMin      = 80                    // bytes of an Opus frame
	audioSpread   = 40
	videoInterval = time.Second / 30
	smallInterval = time.Second / 15
	// keyFactor is how much larger a key frame is, and keyEvery how often one
	// comes unasked.
	keyFactor = 5
	keyEvery  = 10 * time.Second
	// keyAgain bounds how often a request for a key frame is answered, as
	// encoders do.
	keyAgain = 300 * time.Millisecond
)

// layer is one encoding of a camera.
type layer struct {
	rid           string // "" without simulcast
	width, height int
	packets       int // of an ordinary frame
	size          int // bytes of payload of each
}

// profile is what every publisher sends.
type profile struct {
	name   string
	red    bool
	layers []layer       // none: audio only; lowest first
	frame  time.Duration // between two pictures
}

// profileOf returns the profile of that name. A camera is VP8 of 1.5 Mbit/s:
// 30 frames of 6 packets of 1,041 bytes a second; a small one 15 of 2.
func profileOf(name string, red bool) (profile, error) {
	p := profile{name: name, red: red, frame: videoInterval}
	high := layer{width: 1280, height: 720, packets: 6, size: 1041}
	switch name {
	case ProfileAudio:
	case ProfileCamera:
		p.layers = []layer{high}
	case ProfileSmall:
		p.frame = smallInterval
		p.layers = []layer{{width: 640, height: 360, packets: 2, size: 1041}}
	case ProfileSimulcast:
		high.rid = "f"
		p.layers = []layer{
			{rid: "q", width: 320, height: 180, packets: 1, size: 625},
			{rid: "h", width: 640, height: 360, packets: 2, size: 1041},
			high,
		}
	default:
		return profile{}, fmt.Errorf("unknown profile %q: %s, %s, %s or %s", name, ProfileAudio, ProfileCamera, ProfileSmall, ProfileSimulcast)
	}
	return p, nil
}

// simulcast reports whether a receiver gets one of several layers.
func (p profile) simulcast() bool { return len(p.layers) > 1 }
