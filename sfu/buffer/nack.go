package buffer

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
)

// NackConfig tunes the requests for missing packets. Zero fields take the
// stated defaults.
type NackConfig struct {
	// Tries is how often one packet is asked for. Default 8.
	Tries int
	// Reorder is how many packets may overtake before the first request, and
	// Delay how long it waits when fewer come. Defaults 2 and 5 ms.
	Reorder int
	Delay   time.Duration
	// GiveUp is the age at which a packet is of no more use. Default 1 s.
	GiveUp time.Duration
}

func (c NackConfig) withDefaults() NackConfig {
	if c.Tries <= 0 {
		c.Tries = 8
	}
	c.Tries = min(c.Tries, 255)
	if c.Reorder <= 0 {
		c.Reorder = 2
	}
	if c.Delay <= 0 {
		c.Delay = 5 * time.Millisecond
	}
	if c.GiveUp <= 0 {
		c.GiveUp = time.Second
	}
	return c
}

const (
	minNackInterval     = 20 * time.Millisecond
	maxNackInterval     = 500 * time.Millisecond
	defaultNackInterval = 100 * time.Millisecond
)

// Nacks appends the sequence numbers to ask for now, as pairs of a generic NACK
// (RFC 4585 section 6.2.1), and returns the extended slice. rtt is the round
// trip to the sender, 0 while unknown. Call it at the end of a burst, and from a
// timer while Missing is not 0. The work is proportional to what is missing;
// pass dst[:0] of the slice returned last time and it does not allocate.
func (r *Ring) Nacks(dst []rtcp.NackPair, now time.Time, rtt time.Duration) []rtcp.NackPair {
	if len(r.missing) == 0 {
		return dst
	}
	at := now.Sub(r.epoch)
	keep := r.missing[:0]
	open := false
	var first uint64 // what the last pair's PacketID stands for
	for _, ext := range r.missing {
		s := &r.slots[ext&r.mask]
		if s.ext != ext || s.state != slotMissing {
			continue
		}
		if r.hopeless(s, at) {
			s.state = slotEmpty
			r.stats.Abandoned++
			continue
		}
		keep = append(keep, ext)
		if !r.due(s, at) {
			continue
		}
		s.tries++
		s.due = at + nackInterval(rtt, s.tries)
		r.stats.Nacked++
		if open && ext-first <= 16 {
			dst[len(dst)-1].LostPackets |= 1 << (ext - first - 1)
			continue
		}
		open, first = true, ext
		dst = append(dst, rtcp.NackPair{PacketID: uint16(ext)})
	}
	r.missing = keep
	return dst
}

// Missing returns an upper bound of how many packets are waited for.
func (r *Ring) Missing() int { return len(r.missing) }

// KeyFrame tells that the stored packet ext starts a key frame: what is missing
// before it is not asked for any more. Further packets of the same frame (equal
// timestamp, as with several slices) change nothing.
func (r *Ring) KeyFrame(ext uint64) {
	raw, ok := r.At(ext)
	if !ok {
		return
	}
	ts := binary.BigEndian.Uint32(raw[4:])
	if ext <= r.keyExt || r.keyExt != 0 && ts == r.keyTS {
		return
	}
	r.keyExt, r.keyTS = ext, ts
}

func (r *Ring) hopeless(s *slot, at time.Duration) bool {
	return s.ext < r.keyExt || r.highest-s.ext > r.mask || at-s.at > r.cfg.Nack.GiveUp ||
		int(s.tries) >= r.cfg.Nack.Tries && at >= s.due
}

func (r *Ring) due(s *slot, at time.Duration) bool {
	if s.tries > 0 {
		return int(s.tries) < r.cfg.Nack.Tries && at >= s.due
	}
	return r.highest-s.ext >= uint64(r.cfg.Nack.Reorder) || at-s.at >= r.cfg.Nack.Delay
}

// nackInterval spaces repeats by a little more than the round trip, half a round
// trip wider with each try.
func nackInterval(rtt time.Duration, tries uint8) time.Duration {
	base := rtt + rtt/4
	if rtt <= 0 {
		base = defaultNackInterval
	}
	base = max(base, minNackInterval)
	return min(base+base/2*time.Duration(tries-1), maxNackInterval)
}

// openGap notes that [from, to) is missing. A gap wider than the list can hold
// is not worth asking for: a key frame is what helps then.
func (r *Ring) openGap(from, to uint64, at time.Duration) {
	n := int(to - from)
	if n == 0 {
		return
	}
	if n > cap(r.missing) {
		r.stats.Abandoned += uint64(len(r.missing) + n)
		r.missing = r.missing[:0]
		return
	}
	if over := len(r.missing) + n - cap(r.missing); over > 0 {
		r.stats.Abandoned += uint64(over)
		r.missing = r.missing[:copy(r.missing, r.missing[over:])]
	}
	for ext := from; ext < to; ext++ {
		r.slots[ext&r.mask] = slot{ext: ext, at: at, state: slotMissing}
		r.missing = append(r.missing, ext)
	}
}
