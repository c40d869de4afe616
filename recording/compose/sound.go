package compose

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/chatmed/chatmed/recording/journal"
)

// sound is one Opus packet: size bytes at off of the spool.
type sound struct {
	pts  time.Duration
	off  int64
	size uint32
	ext  int64
}

// soundsOf reads a stream's Opus packets, and takes those that never came from the
// redundant copies that later ones carry (RFC 2198).
func (s *source) soundsOf(st *stream, lost *Losses) ([]sound, error) {
	out := make([]sound, 0, len(st.packets))
	have := make(map[int64]bool, len(st.packets))
	var spare []sound
	for i := range st.packets {
		p := &st.packets[i]
		if p.size == 0 {
			continue
		}
		one := sound{pts: st.when(i), off: p.off, size: p.size, ext: st.ext[i]}
		if p.codec == journal.RED {
			payload, err := s.payload(p)
			if err != nil {
				return nil, err
			}
			blocks := splitRED(payload)
			if len(blocks) == 0 {
				continue
			}
			after := s.sameOpening(st, i)
			for _, b := range blocks[:len(blocks)-1] {
				if ext := one.ext - int64(b.offset); ext > after && b.size > 0 {
					spare = append(spare, sound{
						pts: one.pts - time.Duration(float64(b.offset)/st.rate*float64(time.Second)),
						off: p.off + int64(b.at), size: uint32(b.size), ext: ext,
					})
				}
			}
			primary := blocks[len(blocks)-1]
			one.off, one.size = p.off+int64(primary.at), uint32(primary.size)
		}
		if one.size > 0 {
			out = append(out, one)
			have[one.ext] = true
		}
	}
	for i := 1; i < len(st.packets); i++ { // not what was sent during a pause
		if s.oneOpening(st.packets[i-1].at, st.packets[i].at) {
			lost.Sound += int(st.packets[i].seq - st.packets[i-1].seq - 1)
		}
	}
	for _, r := range spare {
		if !have[r.ext] {
			have[r.ext] = true
			out = append(out, r)
			lost.Recovered++
			lost.Sound--
		}
	}
	slices.SortFunc(out, func(a, b sound) int { return cmp.Compare(a.ext, b.ext) })
	lost.Sound = max(0, lost.Sound)
	return out, nil
}

// sameOpening is the timestamp that redundant copies in packet i must be newer
// than: the one of the packet before, if both came while the gate was open without
// a break. What was said while it was shut is not to be taken from what came
// later.
func (s *source) sameOpening(st *stream, i int) int64 {
	for k := i - 1; k >= 0; k-- {
		if st.packets[k].size == 0 {
			continue
		}
		if s.oneOpening(st.packets[k].at, st.packets[i].at) {
			return st.ext[k]
		}
		break
	}
	return st.ext[i]
}

// oneOpening reports whether the gate was open without a break between two
// arrivals.
func (s *source) oneOpening(a, b time.Duration) bool {
	for _, o := range s.openings {
		if o.has(a) && o.has(b) {
			return true
		}
	}
	return false
}

// block is one of a RED payload: size bytes at at, sent offset earlier.
type block struct{ offset, at, size int }

// splitRED reads the blocks of a payload, the primary one last; nil when it is
// malformed.
func splitRED(b []byte) []block {
	var out []block
	at := 0
	for at < len(b) && b[at]&0x80 != 0 {
		if at+4 > len(b) {
			return nil
		}
		out = append(out, block{
			offset: int(b[at+1])<<6 | int(b[at+2])>>2,
			size:   int(b[at+2]&3)<<8 | int(b[at+3]),
		})
		at += 4
	}
	if at >= len(b) {
		return nil
	}
	at++
	for i := range out {
		out[i].at = at
		if at += out[i].size; at > len(b) {
			return nil
		}
	}
	return append(out, block{at: at, size: len(b) - at})
}

// opusDuration is how long a packet plays (RFC 6716 section 3.1), 0 for none.
func opusDuration(head []byte) time.Duration {
	if len(head) == 0 {
		return 0
	}
	config := head[0] >> 3
	var one time.Duration
	switch {
	case config < 12:
		one = []time.Duration{10, 20, 40, 60}[config&3] * time.Millisecond
	case config < 16:
		one = []time.Duration{10, 20}[config&1] * time.Millisecond
	default:
		one = 2500 * time.Microsecond << (config & 3)
	}
	switch head[0] & 3 {
	case 0:
		return one
	case 3:
		if len(head) < 2 {
			return 0
		}
		return one * time.Duration(head[1]&63)
	}
	return 2 * one
}

// Packets of silence: CELT with its silence flag, 20 ms and 2.5 ms long.
var (
	silence      = []byte{0xf8, 0xff, 0xfe}
	shortSilence = []byte{0xe0, 0xff, 0xfe}
)

const (
	silenceLasts      = 20 * time.Millisecond
	shortSilenceLasts = 2500 * time.Microsecond
	// A gap below is left to the player: clocks are never quite even.
	gapFrom = 15 * time.Millisecond
)

// audioTrack is a track of sound, on the timeline of the files.
type audioTrack struct {
	*track
	sounds []sound
	file   string // in the private directory
}

func (t *audioTrack) name() string { return "audio-" + strconv.Itoa(t.Number) + ".webm" }

// writeAudio writes a track of sound to its file. Where there is none it writes
// silence, so that it is as long as the whole and every player keeps the time.
func (j *job) writeAudio(ctx context.Context, show *show, t *audioTrack) error {
	t.file = filepath.Join(j.dir, t.name())
	m, err := createMKV(t.file, mkvTrack{codec: journal.Opus})
	if err != nil {
		return err
	}
	pos := time.Duration(0) // until when there is sound
	fill := func(to time.Duration) error {
		for err == nil && to-pos >= silenceLasts {
			err = m.write(pos, true, silence)
			pos += silenceLasts
		}
		for err == nil && to-pos >= shortSilenceLasts {
			err = m.write(pos, true, shortSilence)
			pos += shortSilenceLasts
		}
		return err
	}
	for i, s := range t.sounds {
		if i%1024 == 0 && ctx.Err() != nil {
			return m.abort(ctx.Err())
		}
		payload, err := show.src.payload(&packet{off: s.off, size: s.size})
		if err != nil {
			return m.abort(err)
		}
		lasts := opusDuration(payload)
		if lasts == 0 || s.pts < pos-lasts || s.pts < 0 || s.pts+lasts > show.length+time.Second {
			continue // of a stream that another one took the place of, or beyond the end
		}
		if s.pts-pos >= gapFrom {
			if err := fill(s.pts); err != nil {
				return m.abort(err)
			}
		}
		if err := m.write(s.pts, true, payload); err != nil {
			return m.abort(err)
		}
		pos = s.pts + lasts
	}
	if err := fill(show.length); err != nil {
		return m.abort(err)
	}
	return m.close(show.length)
}
