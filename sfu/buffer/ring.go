// Package buffer keeps what is known about one incoming RTP stream (one SSRC):
// its recent packets for retransmission, its extended sequence numbers, what is
// missing and when to ask for it again (RFC 4585), and the figures for a
// reception report (RFC 3550).
//
// Nothing here reads a clock, takes a lock or starts a goroutine. A Ring belongs
// to the one goroutine that reads its stream; after the arena has grown to the
// stream's rate nothing allocates.
package buffer

import (
	"encoding/binary"
	"math/bits"
	"time"
)

const (
	headerSize = 12

	// maxDropout and resyncSpan are the limits of RFC 3550 appendix A.1: how far
	// the sequence may jump ahead and still be the same run, and how close two
	// packets beyond it must lie to start a new one. A.1 wants them consecutive;
	// a few are let slip so that a reordered start settles as well.
	maxDropout = 3000
	resyncSpan = 8
)

// Config describes the stream. Zero fields take the stated defaults.
type Config struct {
	// Packets is how many recent sequence numbers are remembered, rounded up to
	// a power of two between 64 and 4096. Default 512, meant for video; 128 suits audio.
	Packets int
	// MaxPacket is the longest packet taken, in bytes. Default 1500.
	MaxPacket int
	// MaxBytes bounds the packet memory, rounded down to a power of two. Default
	// 256 KiB from 256 packets up, else 32 KiB.
	MaxBytes int
	// Window is the history worth growing for. Default 1 s.
	Window time.Duration
	// ClockRate is the RTP clock in Hz, for jitter. Default 90000.
	ClockRate uint32
	// Nack tunes the requests for missing packets.
	Nack NackConfig
}

// Result says what became of a packet. Exactly one of Stored, Duplicate, TooOld
// and Invalid is set.
type Result struct {
	// ExtSeq is the extended sequence number, set unless Invalid or TooOld. It
	// never decreases by a wrap, and starts above 65535 so that neighbours below
	// the first packet have one too.
	ExtSeq uint64
	// Stored: the packet is new and kept.
	Stored bool
	// Duplicate: this sequence number has been stored before.
	Duplicate bool
	// TooOld: the packet lies outside what is remembered, or is the first of a
	// suspicious jump (RFC 3550 A.1).
	TooOld bool
	// Invalid: not an RTP version 2 packet, or longer than MaxPacket.
	Invalid bool
	// Reordered: stored, but a later one had come before.
	Reordered bool
	// Reset: stored, and it starts a new run after a jump: everything before is
	// forgotten and ExtSeq leaps by more than 65536.
	Reset bool
}

// Ring is the state of one incoming stream. Owned by the stream's reader, not
// thread-safe.
type Ring struct {
	cfg   Config
	mask  uint64
	slots []slot
	arena arena

	started bool
	epoch   time.Time // arrival of the first packet; later times are counted from here
	highest uint64    // highest extended sequence number
	suspect uint16    // last sequence number beyond a jump
	doubted bool      // suspect is set

	missing []uint64 // ascending; entries already filled are skipped and removed by Nacks
	keyExt  uint64   // missing packets below it are not worth asking for
	keyTS   uint32

	report reportState
	stats  Stats
}

type slotState uint8

const (
	slotEmpty slotState = iota
	slotMissing
	slotStored
)

// slot is what is known about one sequence number. A slot whose ext is another's
// is stale and counts as empty, which is why nothing ever has to be cleared.
type slot struct {
	ext   uint64
	pos   uint64        // in the arena, while stored
	at    time.Duration // arrival, or when the gap was seen
	due   time.Duration // next request, while missing and tried
	size  uint16
	tries uint8
	state slotState
}

// New returns an empty ring. Packet memory is taken at the first packet.
func New(cfg Config) *Ring {
	if cfg.Packets <= 0 {
		cfg.Packets = 512
	}
	cfg.Packets = 1 << bits.Len(uint(min(max(cfg.Packets, 64), 4096)-1))
	if cfg.MaxPacket <= 0 {
		cfg.MaxPacket = 1500
	}
	cfg.MaxPacket = min(cfg.MaxPacket, 1<<16-1)
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 256 << 10
		if cfg.Packets < 256 {
			cfg.MaxBytes = 32 << 10
		}
	}
	if cfg.Window <= 0 {
		cfg.Window = time.Second
	}
	if cfg.ClockRate == 0 {
		cfg.ClockRate = 90000
	}
	cfg.Nack = cfg.Nack.withDefaults()
	least := 1 << bits.Len(uint(2*cfg.MaxPacket-1))
	cfg.MaxBytes = max(least, 1<<(bits.Len(uint(cfg.MaxBytes))-1))
	return &Ring{
		cfg:     cfg,
		mask:    uint64(cfg.Packets - 1),
		slots:   make([]slot, cfg.Packets),
		arena:   arena{max: cfg.MaxBytes, window: cfg.Window},
		missing: make([]uint64, 0, cfg.Packets/2),
	}
}

// Insert takes a packet as it came from the wire (decrypted, header included)
// and copies it once. raw may be reused at once.
func (r *Ring) Insert(raw []byte, now time.Time) Result {
	return r.insert(raw, now, false)
}

// InsertRecovered takes a packet that came over another path (RTX, RFC 4588,
// already restored to its original form). It fills its gap, but counts neither
// as received nor into the jitter: reports speak about the original stream.
func (r *Ring) InsertRecovered(raw []byte, now time.Time) Result {
	return r.insert(raw, now, true)
}

func (r *Ring) insert(raw []byte, now time.Time, recovered bool) Result {
	if len(raw) < headerSize || raw[0]>>6 != 2 || len(raw) > r.cfg.MaxPacket {
		r.stats.Invalid++
		return Result{Invalid: true}
	}
	seq := binary.BigEndian.Uint16(raw[2:])
	if !r.started {
		r.start(seq, now)
	}
	at := now.Sub(r.epoch)
	ext, res := r.locate(seq, recovered)
	if res.TooOld {
		r.stats.TooOld++
		return res
	}
	s := &r.slots[ext&r.mask]
	if s.ext == ext && s.state == slotStored {
		r.stats.Duplicate++
		return Result{ExtSeq: ext, Duplicate: true}
	}
	if ext > r.highest {
		r.openGap(r.highest+1, ext, at)
		r.highest = ext
	} else if ext < r.highest {
		res.Reordered = true
		r.report.base = min(r.report.base, ext)
	}
	if s.ext == ext && s.state == slotMissing && s.tries > 0 {
		r.stats.Recovered++
	}
	*s = slot{ext: ext, pos: r.arena.put(raw, at), at: at, size: uint16(len(raw)), state: slotStored}
	if !recovered {
		r.report.receive(at, binary.BigEndian.Uint32(raw[4:]), r.cfg.ClockRate)
	}
	r.stats.Packets++
	r.stats.Bytes += uint64(len(raw))
	res.ExtSeq, res.Stored = ext, true
	return res
}

// Get returns the stored packet with this sequence number, taken as the one
// nearest below the highest. The view is the ring's own memory: read it before
// the next Insert, or within Window while less than MaxBytes/2 are inserted.
func (r *Ring) Get(seq uint16) ([]byte, bool) {
	if !r.started {
		return nil, false
	}
	return r.At(r.highest - uint64(uint16(r.highest)-seq))
}

// At is Get by extended sequence number.
func (r *Ring) At(ext uint64) ([]byte, bool) {
	s := &r.slots[ext&r.mask]
	if s.ext != ext || s.state != slotStored || r.highest-ext > r.mask {
		return nil, false
	}
	raw := r.arena.view(s.pos, int(s.size))
	return raw, raw != nil
}

// SetWindow changes the history worth growing for. Memory taken already stays.
func (r *Ring) SetWindow(d time.Duration) { r.arena.window = d }

// Highest returns the highest extended sequence number, 0 before the first packet.
func (r *Ring) Highest() uint64 { return r.highest }

// MemoryBytes is what the ring holds now, without the struct itself.
func (r *Ring) MemoryBytes() int {
	const slotSize, extSize = 40, 8
	return len(r.arena.data) + len(r.slots)*slotSize + cap(r.missing)*extSize
}

// start begins at seq. One cycle is added so that neighbours before it have an
// extended number as well.
func (r *Ring) start(seq uint16, now time.Time) {
	r.started, r.epoch = true, now
	r.highest = 1<<16 | uint64(seq)
	r.report.begin(r.highest)
	size := 1 << bits.Len(uint(2*r.cfg.MaxPacket-1))
	r.arena.data = make([]byte, size)
}

// locate extends seq (RFC 3550 A.1), starting a new run after a confirmed jump.
func (r *Ring) locate(seq uint16, recovered bool) (uint64, Result) {
	delta := int(int16(seq - uint16(r.highest)))
	switch {
	case delta > 0 && delta <= maxDropout, delta <= 0 && -delta <= int(r.mask):
		r.doubted = r.doubted && delta <= 0
		return r.highest + uint64(delta), Result{}
	case recovered:
		return 0, Result{TooOld: true}
	case r.doubted && seq-r.suspect-1 < resyncSpan:
		r.restart(seq)
		return r.highest, Result{Reset: true}
	}
	r.suspect, r.doubted = seq, true
	return 0, Result{TooOld: true}
}

// restart forgets the run before a jump. Nothing is scanned: old slots are stale
// by their number, old bytes by their position.
func (r *Ring) restart(seq uint16) {
	r.highest = (r.highest>>16+2)<<16 | uint64(seq)
	r.doubted = false
	r.arena.forget()
	r.missing = r.missing[:0]
	r.keyExt = 0
	r.report.begin(r.highest)
	r.stats.Resets++
}
