package sfu

import (
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

const (
	// silence is the level from which nothing counts as speech, in -dBov
	// (RFC 6464 section 3).
	silence = 60
	// speakerMargin is how much louder somebody must be to become the speaker while
	// the last one is still heard.
	speakerMargin = 6
	// speakerHold is how long it must last. Who has fallen silent stays the speaker
	// until somebody else is.
	speakerHold = 400 * time.Millisecond
)

// loudness gathers the audio levels of one source (RFC 6464). Guarded by room.mu.
type loudness struct {
	sum, n int
	level  int // of the last interval, 0 (silent) to 127 (loud)
}

// heard takes the extension of a packet, nil when it has none.
func (l *loudness) heard(ext []byte) {
	if len(ext) != 1 {
		return
	}
	l.sum += 127 - int(ext[0]&0x7f)
	l.n++
}

// roll ends an interval.
func (l *loudness) roll() int {
	now := 0
	if l.n > 0 {
		now = l.sum / l.n
	}
	l.level = (l.level + 2*now) / 3
	l.sum, l.n = 0, 0
	return l.level
}

// speaker is who speaks in a room. Guarded by room.mu.
type speaker struct {
	id     string // "" before anybody has spoken
	rolled time.Time

	candidate string
	since     time.Time
}

// speakLocked finds the active speaker, with hysteresis.
func (r *Room) speakLocked(now time.Time) (changed bool) {
	s := &r.speaker
	if now.Sub(s.rolled) < tick*9/10 {
		return false
	}
	s.rolled = now
	best, loudest, own := "", 0, 0
	for id, p := range r.participants {
		pub := p.publications[consult.SourceMicrophone]
		if pub == nil {
			continue
		}
		level := pub.loudness.roll()
		if pub.muted || level < 127-silence {
			continue
		}
		if id == s.id {
			own = level
		}
		if level > loudest || level == loudest && id < best {
			best, loudest = id, level
		}
	}
	if s.id != "" && r.participants[s.id] == nil {
		s.id, changed = "", true
	}
	if best == "" || best == s.id || own > 0 && loudest < own+speakerMargin {
		s.candidate = ""
		return changed
	}
	if s.candidate != best {
		s.candidate, s.since = best, now
	}
	if now.Sub(s.since) < speakerHold {
		return changed
	}
	s.id, s.candidate = best, ""
	return true
}
