package congestion

// Bounds of what a source may have.
const (
	MaxSpatial  = 4
	MaxTemporal = 4
)

// Layer is a spatial layer of a source: a simulcast encoding or an SVC layer
// with those it needs.
type Layer struct {
	Width, Height int // pixels, 0 while unknown
	// Rate is what the layer costs up to and with each temporal layer, in bit/s on
	// the wire as measured over a second or two; nominal while it is paused at the
	// publisher. A source without temporal layers has its rate in Rate[0]; 0 is no
	// layer.
	Rate [MaxTemporal]int
	// KeyFrame is the size of a key frame in bytes, 0 while unknown.
	KeyFrame int
}

// Slot is what a client is shown in one of its slots. All rates are in bit/s on
// the wire.
type Slot struct {
	Source   uint64  // tells sources apart; 0: the slot is free
	Audio    int     // the voice as measured without redundancy; 0: none
	RED      int     // what its redundancy costs besides; 0: not to be had
	Speaking bool    // the active speaker
	Screen   bool    // a screen share
	Visible  bool    // the picture is on the screen
	Width    int     // of the element in device pixels, 0 while unknown
	Height   int     //
	Layers   []Layer // lowest first, at most MaxSpatial; empty: no picture
}

// AudioMode is how a voice goes out.
type AudioMode uint8

// Audio modes.
const (
	AudioOff AudioMode = iota
	AudioPlain
	AudioRED
)

// VideoMode is how a picture goes out.
type VideoMode uint8

// Video modes, from the worst to the best.
const (
	NoVideo VideoMode = iota
	Slideshow
	Moving
)

// Decision is what a slot gets.
type Decision struct {
	Audio AudioMode
	// AudioRate is what the voice may take; below Slot.Audio the publisher is to be
	// asked for longer packets and less bitrate.
	AudioRate int
	Video     VideoMode
	Spatial   int // layer that is sent; of Slideshow the one whose key frames are
	Temporal  int // highest temporal layer; meaningless for Slideshow
	FPS       int // of Slideshow
	// Rate is what the slot costs in all.
	Rate int
	// Limited: the display would take more than the link carries.
	Limited bool
}

const (
	// thrifty is a voice that can still be understood: 10 kbit/s of Opus in packets
	// of 60 ms, with headers.
	thrifty = 20_000
	// cover is how much of the displayed size a layer must have to be enough.
	cover = 0.9
	// slideKeep is the share of the slowest moving picture's cost that a slide show
	// must stay under to be worth having.
	slideKeep = 0.8
	maxPoints = MaxSpatial*MaxTemporal + 5
)

var slideFPS = [...]int{1, 2, 3, 5}

// point is one way to send a picture.
type point struct {
	rate     int
	mode     VideoMode
	spatial  int8
	temporal int8
	fps      int8
}

// ladder is the ways to send a slot's picture, from nothing up; each costs more
// than the one before.
type ladder struct {
	points [maxPoints]point
	n      int
}

// build lists what is worth sending for how the slot is displayed.
func (l *ladder) build(s *Slot) {
	l.points[0], l.n = point{}, 1
	if !s.Visible || s.Source == 0 || len(s.Layers) == 0 {
		return
	}
	layers := s.Layers[:min(len(s.Layers), MaxSpatial)]
	top := useful(layers, s)
	l.slides(layers)
	if s.Screen { // a text that can be read comes before one that moves
		for i := range layers[:top+1] {
			l.add(point{rate: layers[i].Rate[0], mode: Moving, spatial: int8(i)})
		}
		l.temporal(layers, top, 1)
		return
	}
	for i := range layers[:top+1] {
		l.temporal(layers, i, 0)
	}
}

func (l *ladder) temporal(layers []Layer, spatial, from int) {
	for t := from; t < MaxTemporal; t++ {
		l.add(point{rate: layers[spatial].Rate[t], mode: Moving, spatial: int8(spatial), temporal: int8(t)})
	}
}

// slides adds slow pictures of the lowest layer there is.
func (l *ladder) slides(layers []Layer) {
	for i := range layers {
		lowest := layers[i].Rate[0]
		if lowest <= 0 {
			continue
		}
		size := layers[i].KeyFrame
		if size <= 0 { // about a third of a second's worth
			full := lowest
			for _, r := range layers[i].Rate {
				full = max(full, r)
			}
			size = full / 24
		}
		for _, fps := range slideFPS {
			if cost := 8 * fps * (size + size/16); float64(cost) < slideKeep*float64(lowest) {
				l.add(point{rate: cost, mode: Slideshow, spatial: int8(i), fps: int8(fps)})
			}
		}
		return
	}
}

// add appends a point; those before that cost as much are worth less and go.
func (l *ladder) add(p point) {
	if p.rate <= 0 {
		return
	}
	for l.n > 1 && l.points[l.n-1].rate >= p.rate {
		l.n--
	}
	if l.n < maxPoints {
		l.points[l.n] = p
		l.n++
	}
}

// useful is the lowest layer that fills the display, else the best.
func useful(layers []Layer, s *Slot) int {
	top := 0
	for i := range layers {
		if layers[i].Rate[0] <= 0 {
			continue
		}
		top = i
		w, h := float64(layers[i].Width), float64(layers[i].Height)
		known := s.Width > 0 && s.Height > 0 && w > 0 && h > 0
		// A picture is fitted into its element: the tighter side decides.
		if known && (w >= cover*float64(s.Width) || h >= cover*float64(s.Height)) {
			break
		}
	}
	return top
}

// find returns the index of the best point that is no more than what d says.
func (l *ladder) find(d *Decision) int {
	for i := l.n - 1; i > 0; i-- {
		p := &l.points[i]
		if p.mode != d.Video {
			if p.mode < d.Video {
				return i
			}
			continue
		}
		if p.mode == Slideshow && int(p.fps) <= d.FPS {
			return i
		}
		if p.mode == Moving && (int(p.spatial) < d.Spatial || int(p.spatial) == d.Spatial && int(p.temporal) <= d.Temporal) {
			return i
		}
	}
	return 0
}
