package compose

import (
	"errors"
	"fmt"
	"time"

	"github.com/pion/rtp/codecs"

	"github.com/chatmed/chatmed/recording/journal"
)

// frame is one access unit: packets first to last of its stream, all of them
// there.
type frame struct {
	st          *stream
	first, last int
	pts         time.Duration // on the recording's timeline; of the files, later
	codec       string
	key         bool
	orient      int8
	size        dims   // of key frames
	private     []byte // of key frames: what Matroska calls CodecPrivate
}

// dims is a picture's size in pixels.
type dims struct{ w, h int }

// gop is a key frame and what is built upon it, as far as nothing is missing.
type gop struct {
	st     *stream
	frames []frame
	from   time.Duration
	to     time.Duration // the last picture may stand until then
}

var errPicture = errors.New("not a whole picture")

// layered is what VP8 and VP9 say of a frame's temporal layer (RFC 7741, RFC 9628).
type layered struct {
	known bool
	tid   uint8
	tl0   uint8
	sync  bool // depends on the base layer alone, and what follows may use it
}

// readLayers reads a frame's first payload: whether it is the start of a frame
// beyond doubt, and its temporal layer.
func readLayers(codec string, payload []byte) (start bool, l layered) {
	switch codec {
	case journal.VP8:
		var p codecs.VP8Packet
		if _, err := p.Unmarshal(payload); err != nil {
			return false, l
		}
		l = layered{known: p.T == 1 && p.L == 1, tid: p.TID, tl0: p.TL0PICIDX, sync: p.Y == 1}
		return p.S == 1 && p.PID == 0, l
	case journal.VP9:
		var p codecs.VP9Packet
		if _, err := p.Unmarshal(payload); err != nil {
			return false, l
		}
		l = layered{known: p.L && !p.F, tid: p.TID, tl0: p.TL0PICIDX, sync: p.U}
		return p.B && p.SID == 0 && !p.D, l
	case journal.AV1:
		// N begins a coded video sequence.
		return len(payload) > 0 && payload[0]&0x88 == 0x08, l
	}
	return false, l
}

// builder makes GOPs of a stream's packets.
type builder struct {
	src    *source
	st     *stream
	lost   *int
	gops   []gop
	alive  bool
	behind int  // index of the last packet that was used or empty
	whole  bool // nothing is missing since then
	tl0    uint8
	sets   frame // the last one with H.264 parameter sets
	climb  bool  // frames above the base layer wait for one that syncs
}

// gopsOf finds all pictures of a stream that can be decoded.
func (s *source) gopsOf(st *stream, lost *int) ([]gop, error) {
	b := &builder{src: s, st: st, lost: lost, behind: -1}
	for i := 0; i < len(st.packets); {
		if st.packets[i].size == 0 { // padding
			i++
			continue
		}
		end := i
		for k := i + 1; k < len(st.packets) && st.packets[k].ts == st.packets[i].ts; k++ {
			if st.packets[k].size > 0 {
				end = k
			}
		}
		if err := b.frame(i, end); err != nil {
			return nil, err
		}
		i = end + 1
	}
	for i := range b.gops {
		g := &b.gops[i]
		g.from, g.to = g.frames[0].pts, g.frames[len(g.frames)-1].pts
	}
	return b.gops, nil
}

// frame takes the packets of one timestamp.
func (b *builder) frame(first, last int) error {
	ps := b.st.packets
	payload, err := b.src.payload(&ps[first])
	if err != nil {
		return err
	}
	start, layers := readLayers(ps[first].codec, payload)
	follows := b.follows(first)
	whole := follows || start || ps[first].key
	for i := first; i < last; i++ {
		whole = whole && ps[i+1].seq == ps[i].seq+1
	}
	whole = whole && (ps[last].marker || (last+1 < len(ps) && ps[last+1].seq == ps[last].seq+1))
	f := frame{st: b.st, first: first, last: last, codec: ps[first].codec, orient: -1, pts: b.st.when(b.earliest(first, last))}
	for i := first; i <= last; i++ {
		f.key = f.key || ps[i].key
		if ps[i].orient >= 0 {
			f.orient = ps[i].orient
		}
	}
	ok := whole && b.decodable(&f, layers, follows)
	if ok && f.key {
		ok = b.describe(&f)
	}
	if !ok {
		b.drop(&f, layers, whole && follows)
		return nil
	}
	b.take(f, layers)
	return nil
}

// earliest is the packet of a frame that came first, whose arrival speaks for it.
func (b *builder) earliest(first, last int) int {
	best := first
	for i := first; i <= last; i++ {
		if b.st.packets[i].at < b.st.packets[best].at {
			best = i
		}
	}
	return best
}

// follows reports whether nothing is missing before packet i since the last frame
// that was used. Padding in between is nothing.
func (b *builder) follows(i int) bool {
	ps := b.st.packets
	for k := i; k > 0; k-- {
		if ps[k-1].seq+1 != ps[k].seq {
			return false
		}
		if k-1 == b.behind {
			return true
		}
		if ps[k-1].size > 0 {
			return false
		}
	}
	return false
}

// decodable reports whether everything f is built upon was there.
func (b *builder) decodable(f *frame, l layered, follows bool) bool {
	switch {
	case f.key:
		return true
	case !b.alive || b.gops[len(b.gops)-1].frames[0].codec != f.codec:
		return false
	case follows && b.whole && (l.tid == 0 || !b.climb):
		return true
	case !l.known:
		return false
	case l.tid == 0:
		return l.tl0 == b.tl0+1
	}
	return l.tl0 == b.tl0 && l.sync
}

// take makes f the newest picture.
func (b *builder) take(f frame, l layered) {
	gap := !f.key && (!b.whole || !b.follows(f.first))
	switch {
	case f.key:
		b.climb = false
	case gap && l.tid == 0:
		b.climb = true
	case l.tid == 1:
		b.climb = false // two layers up may need one layer up, and so do not end it
	}
	if f.key {
		b.gops = append(b.gops, gop{st: b.st})
	}
	if l.known && l.tid == 0 {
		b.tl0 = l.tl0
	}
	g := &b.gops[len(b.gops)-1]
	if n := len(g.frames); n > 0 {
		f.pts = max(f.pts, g.frames[n-1].pts+time.Millisecond)
		if f.orient < 0 {
			f.orient = g.frames[n-1].orient
		}
	} else {
		f.orient = max(f.orient, 0)
	}
	g.frames = append(g.frames, f)
	b.alive, b.whole, b.behind = true, true, f.last
}

// drop leaves f out, and what is built upon it. clean says that f itself is there
// and so is what came before it.
func (b *builder) drop(f *frame, l layered, clean bool) {
	*b.lost++
	b.behind = f.last
	if !l.known {
		b.alive = false
		return
	}
	// What is built upon the base layer alone goes on, if that is whole: its frames
	// are numbered.
	b.whole = b.whole && clean && l.tid > 0
	b.climb = true
}

// describe reads what a key frame says of the pictures to come.
func (b *builder) describe(f *frame) bool {
	data, err := b.src.unit(f)
	if err != nil {
		return false
	}
	switch f.codec {
	case journal.VP8:
		f.size, err = vp8Size(data)
	case journal.VP9:
		f.size, err = b.vp9Size(f, data)
	case journal.H264:
		if f.size, f.private, err = h264Private(data); err != nil && b.sets.private != nil && hasIDR(data) {
			// Parameter sets hold until there are others.
			f.size, f.private, err = b.sets.size, b.sets.private, nil
		}
		if err == nil {
			b.sets = *f
		}
	case journal.AV1:
		f.size, f.private, err = av1Private(data)
	default:
		return false
	}
	return err == nil && f.size.w > 0 && f.size.h > 0
}

// unit is a frame's data as Matroska wants it.
func (s *source) unit(f *frame) ([]byte, error) {
	var vp8 codecs.VP8Packet
	var vp9 codecs.VP9Packet
	h264 := codecs.H264Packet{IsAVC: true}
	var av1 codecs.AV1Depacketizer
	var out []byte
	for i := f.first; i <= f.last; i++ {
		p := &f.st.packets[i]
		if p.size == 0 {
			continue
		}
		payload, err := s.payload(p)
		if err != nil {
			return nil, err
		}
		var part []byte
		switch f.codec {
		case journal.VP8:
			part, err = vp8.Unmarshal(payload)
		case journal.VP9:
			part, err = vp9.Unmarshal(payload)
		case journal.H264:
			part, err = h264.Unmarshal(payload)
		case journal.AV1:
			part, err = av1.Unmarshal(payload)
		default:
			err = errPicture
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errPicture, err)
		}
		out = append(out, part...)
	}
	if len(out) == 0 {
		return nil, errPicture
	}
	return out, nil
}
