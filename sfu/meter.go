package sfu

import (
	"time"

	"github.com/chatmed/chatmed/sfu/congestion"
	"github.com/chatmed/chatmed/sfu/forward"
)

const (
	// wire is what a packet of ours weighs besides the publisher's: IP, UDP, SRTP.
	wire = 28 + 16
	// meterWindow is how long a rate is measured, meterEarly when there is a first
	// guess.
	meterWindow = time.Second
	meterEarly  = 250 * time.Millisecond
)

// nominal is what a layer is held to cost before it was measured, bit/s.
var nominal = [congestion.MaxSpatial]int{150_000, 500_000, 1_500_000, 2_500_000}

const nominalAlone = 300_000 // of a source without simulcast

// meter measures what each layer of one encoding costs a subscriber. Guarded by
// room.mu.
type meter struct {
	since time.Time
	bytes [congestion.MaxSpatial][congestion.MaxTemporal]uint32
	rate  [congestion.MaxSpatial][congestion.MaxTemporal]int // bit/s of the layer alone
	total uint32
	known bool // a whole window was measured
	early bool // or part of one
	sizes [congestion.MaxSpatial]forward.Size

	keyTS    uint32
	keyBytes int // of the key frame that arrives
	keySize  int // of the last whole one
}

func (m *meter) add(i *forward.Info, size int) {
	sid, tid := min(i.SID, congestion.MaxSpatial-1), min(i.TID, congestion.MaxTemporal-1)
	m.bytes[sid][tid] += uint32(size + wire)
	m.total += uint32(size + wire)
}

// key follows the size of key frames.
func (m *meter) key(ts uint32, starts bool, size int) {
	switch {
	case starts && ts != m.keyTS:
		m.keyTS, m.keyBytes = ts, size
	case m.keyBytes > 0 && ts == m.keyTS:
		m.keyBytes += size
	case m.keyBytes > 0:
		m.keySize, m.keyBytes = m.keyBytes, 0
	}
}

// roll ends the window when it is over. A layer that was silent keeps its rates.
func (m *meter) roll(now time.Time) {
	if m.since.IsZero() || m.total == 0 {
		m.since = now
		return
	}
	d := now.Sub(m.since)
	whole := d >= meterWindow
	if !whole && (m.known || d < meterEarly) {
		return
	}
	for s := range m.bytes {
		for t := range m.bytes[s] {
			v := int(float64(m.bytes[s][t]) * 8 / d.Seconds())
			if m.known {
				v = (v + m.rate[s][t]) / 2
			}
			m.rate[s][t] = v
			if whole {
				m.bytes[s][t] = 0
			}
		}
	}
	m.early = true
	if whole {
		m.known, m.total, m.since = true, 0, now
	}
}

// spatial is how many spatial layers there are in the stream.
func (m *meter) spatial() int {
	for s := congestion.MaxSpatial - 1; s > 0; s-- {
		for _, r := range m.rate[s] {
			if r > 0 {
				return s + 1
			}
		}
	}
	return 1
}

// layer fills in what the layers of the stream up to sid cost together.
func (m *meter) layer(sid int, out *congestion.Layer) {
	sum := 0
	*out = congestion.Layer{KeyFrame: m.keySize, Width: m.sizes[sid].Width, Height: m.sizes[sid].Height}
	for t := range out.Rate {
		own := 0
		for s := 0; s <= sid; s++ {
			own += m.rate[s][t]
		}
		if sum += own; own > 0 {
			out.Rate[t] = sum
		}
	}
	if out.Rate[0] == 0 {
		out.Rate[0] = sum
	}
}

// all is what the stream costs in all.
func (m *meter) all() (sum int) {
	for s := range m.rate {
		for _, r := range m.rate[s] {
			sum += r
		}
	}
	return sum
}

// voice measures a sound: the primary Opus with everything that is on the wire,
// what redundancy the publisher sends, and what a repeat of each packet would
// cost. Rates hold their peak, so that a pause in the speech frees nothing.
type voice struct {
	since                  time.Time
	packets                uint32
	primary, extra, repeat uint32 // bytes
	rate, red, own         int    // bit/s
}

// redHeader is what RFC 2198 adds to a packet with one redundant block.
const redHeader = 5

func (v *voice) add(pkt *packet, size int) {
	opus := len(pkt.payload)
	if pkt.codec.codec == forward.CodecRED {
		if primary, _, ok := forward.PrimaryRED(pkt.payload); ok {
			v.extra += uint32(len(pkt.payload) - len(primary))
			opus = len(primary)
		}
	}
	v.primary += uint32(size - len(pkt.payload) + opus + wire)
	v.repeat += uint32(opus + redHeader)
	v.packets++
}

func (v *voice) roll(now time.Time) {
	d := now.Sub(v.since)
	if v.since.IsZero() || d < meterWindow {
		if v.since.IsZero() {
			v.since = now
		}
		return
	}
	peak := func(last int, bytes uint32) int {
		return max(int(float64(bytes)*8/d.Seconds()), last*19/20)
	}
	v.rate, v.red, v.own = peak(v.rate, v.primary), peak(v.red, v.extra), peak(v.own, v.repeat)
	v.primary, v.extra, v.repeat, v.packets, v.since = 0, 0, 0, 0, now
}
