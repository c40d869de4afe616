package sfu

import (
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/sfu/congestion"
)

// Levels of quality, from the best.
const (
	LevelExcellent = "excellent"
	LevelGood      = "good"
	LevelPoor      = "poor"
	LevelBad       = "bad"
	LevelLost      = "lost" // nothing is heard of the client
)

// Reasons of a quality below the best.
const (
	WhyLoss      = "loss"
	WhyDelay     = "delay"
	WhyJitter    = "jitter"
	WhyBandwidth = "bandwidth" // pictures are left out
	WhyFreezes   = "freezes"
	WhySilence   = "silence" // nothing is heard of the client
)

// What a client is sent of the pictures it shows, and of the voices.
const (
	VideoFull      = "full"
	VideoLayer     = "layer"     // less than would be displayed
	VideoSlideshow = "slideshow" // 1 to 5 a second
	VideoPaused    = "paused"
	AudioFull      = "full"
	AudioRedundant = "redundant" // each packet twice, against loss
	AudioReduced   = "reduced"   // the link carries less than the voice takes
)

// What is known of a participant's leg.
type (
	Quality = consult.Quality
	Flow    = consult.Flow
	Report  = consult.LegQuality
	Summary = consult.QualitySummary
)

// SlotStats is what a client tells of a slot: the shares, from 0 to 1, of the time
// since it told last in which sound was concealed or the picture stood still.
type SlotStats struct {
	Slot              int
	Concealed, Frozen float64
}

// reception is how a client receives one stream of ours, as its last receiver
// report says. Guarded by room.mu.
type reception struct {
	at     time.Time
	loss   float64
	jitter time.Duration
}

const (
	// receptionOld is when a report says nothing about now.
	receptionOld = 5 * time.Second
	// lostAfter is the silence after which a client counts as lost.
	lostAfter = 3 * time.Second
	// worseHold and betterHold are how many seconds a level must last to be told.
	worseHold, betterHold = 2, 5
	// toldFresh is how long what a client tells counts.
	toldFresh = 15 * time.Second
)

// leg gathers the quality of a participant. Guarded by room.mu.
type leg struct {
	heard    time.Time // when the last packet came
	stats    SlotStats // the worst slot's, as the client told
	statsAt  time.Time
	report   Report
	quality  Quality // as told
	dirty    bool
	pending  string
	seconds  int // that pending has lasted
	since    time.Time
	lastSent uint64
	lastGot  uint64
	sums     sums
}

// sums are a summary's before it is divided.
type sums struct {
	n, told                            int
	score, rtt, down, up, frozen, conc float64
	sent, got                          float64
	levels                             [5]int
	worst                              int
	least                              int
}

var levels = [...]string{LevelExcellent, LevelGood, LevelPoor, LevelBad, LevelLost}

// SetStats takes what the client tells of its slots.
func (p *Participant) SetStats(stats []SlotStats) {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	g := &p.leg
	g.stats, g.statsAt = SlotStats{}, p.sfu.now()
	for _, s := range stats {
		g.stats.Concealed = max(g.stats.Concealed, min(s.Concealed, 1))
		g.stats.Frozen = max(g.stats.Frozen, min(s.Frozen, 1))
	}
}

// Report is what is known of the leg.
func (p *Participant) Report() Report {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	return p.reportOfLocked()
}

func (p *Participant) reportOfLocked() Report {
	r := p.leg.report
	r.ParticipantID, r.Summary = p.id, p.leg.sums.summary()
	return r
}

// Reports are those of everyone in a room, in the order they joined; nil where
// the room is not here.
func (s *SFU) Reports(roomID string) []Report {
	s.mu.Lock()
	r := s.rooms[roomID]
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []Report{}
	for _, p := range r.sortedLocked() {
		out = append(out, p.reportOfLocked())
	}
	return out
}

// gradeLocked judges the last second of the leg.
func (p *Participant) gradeLocked(now time.Time) {
	t, g := p.transport, &p.leg
	if !p.inCall && g.heard.IsZero() {
		return
	}
	r := &g.report
	r.RTT, r.Estimate = t.media.rtt.value(), 0
	if e := &t.media.path; e.est != nil && e.heard {
		r.Estimate = e.estimate.Target
	}
	r.Down, r.Up = t.downLocked(now), t.upLocked()
	seconds := max(now.Sub(g.since).Seconds(), 0.1)
	if g.since.IsZero() {
		seconds = 1
	}
	sent, got := t.media.path.sentBytes, t.media.path.gotBytes
	if sent < g.lastSent || got < g.lastGot { // another connection has taken over
		g.lastSent, g.lastGot = 0, 0
	}
	r.Down.Bitrate, r.Up.Bitrate = int(float64(sent-g.lastSent)*8/seconds), int(float64(got-g.lastGot)*8/seconds)
	g.lastSent, g.lastGot, g.since = sent, got, now
	r.Quality = p.judgeLocked(now)
	g.sums.add(g, now)
	g.settle()
}

// downLocked is how the client receives, by its last reports.
func (t *transport) downLocked(now time.Time) (f Flow) {
	for _, s := range t.media.slots {
		if a := s.audio; a != nil && now.Sub(a.down.at) < receptionOld {
			f.Loss, f.Jitter = max(f.Loss, a.down.loss), max(f.Jitter, a.down.jitter)
		}
	}
	if e := &t.media.path; e.est != nil && e.heard {
		f.Loss = max(f.Loss, e.estimate.Loss)
	}
	return f
}

// upLocked is how we receive the client, by our own reports.
func (t *transport) upLocked() (f Flow) {
	for _, l := range t.media.lines {
		if l.pub == nil || l.muted {
			continue
		}
		for _, y := range l.pub.layers {
			if y == nil {
				continue
			}
			f.Loss = max(f.Loss, y.up.loss)
			if l.kind == "audio" {
				f.Jitter = max(f.Jitter, y.up.jitter)
			}
		}
	}
	return f
}

// judgeLocked makes one figure of it, after the E-model of ITU-T G.107 for the
// voice, less what is left out of the pictures.
func (p *Participant) judgeLocked(now time.Time) Quality {
	g := &p.leg
	q := Quality{}
	q.Video, q.Audio = p.transport.shownAsLocked()
	if !g.heard.IsZero() && now.Sub(g.heard) > lostAfter {
		q.Level, q.Why, q.Direction = LevelLost, WhySilence, "up"
		return q
	}
	told := !g.statsAt.IsZero() && now.Sub(g.statsAt) < toldFresh
	down := g.report.Down
	if q.Audio == AudioRedundant {
		down.Loss *= 0.3
	}
	if told {
		down.Loss = max(down.Loss, g.stats.Concealed)
	}
	score, why := rateFlow(down, g.report.RTT)
	var penalty float64
	switch q.Video {
	case VideoLayer:
		penalty = 8
	case VideoSlideshow:
		penalty = 30
	case VideoPaused:
		penalty = 40
	}
	reason := WhyBandwidth
	if told && min(200*g.stats.Frozen, 50) > penalty {
		penalty, reason = min(200*g.stats.Frozen, 50), WhyFreezes
	}
	if penalty > 100-score {
		why = reason
	}
	score -= penalty
	q.Direction = "down"
	if up, upWhy := rateFlow(g.report.Up, g.report.RTT); up < score {
		score, why, q.Direction = up, upWhy, "up"
	}
	q.Score = int(min(max(score, 1), 100))
	q.Level = levelOf(q.Score)
	if q.Why = why; q.Level == LevelExcellent {
		q.Why, q.Direction = "", ""
	}
	return q
}

// rateFlow is what is left of a voice, from 0 to 100, and what took most.
func rateFlow(f Flow, rtt time.Duration) (score float64, why string) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	impair := func(delay float64) float64 {
		if delay <= 160 {
			return delay / 40
		}
		return (delay - 120) / 10
	}
	plain := impair(ms(rtt)/2 + 40)
	jitter := impair(ms(rtt)/2+40+2*ms(f.Jitter)) - plain
	loss := 95 * f.Loss / (f.Loss + 0.1)
	score, why = 100-plain-jitter-loss, WhyDelay
	switch {
	case loss >= plain && loss >= jitter:
		why = WhyLoss
	case jitter > plain:
		why = WhyJitter
	}
	return max(score, 0), why
}

func levelOf(score int) string {
	switch {
	case score >= 80:
		return LevelExcellent
	case score >= 60:
		return LevelGood
	case score >= 40:
		return LevelPoor
	}
	return LevelBad
}

// shownAsLocked is the least that any slot gets.
func (t *transport) shownAsLocked() (video, audio string) {
	worst, voice := 0, 0
	for i, s := range t.media.slots {
		if i >= len(t.media.path.slots) || s.from == nil {
			continue
		}
		c, d := &t.media.path.slots[i], &s.decision
		if c.Visible && len(c.Layers) > 0 {
			switch {
			case d.Video == congestion.NoVideo:
				worst = 3
			case d.Video == congestion.Slideshow:
				worst = max(worst, 2)
			case d.Limited || s.video != nil && s.video.pub != nil && s.video.pub.send.cap > 0 && t.media.path.est != nil:
				worst = max(worst, 1)
			}
		}
		if c.Audio > 0 && t.media.path.est != nil {
			switch {
			case d.Audio == congestion.AudioRED:
				voice = max(voice, 1)
			case d.AudioRate < c.Audio:
				voice = 2
			}
		}
	}
	return [...]string{VideoFull, VideoLayer, VideoSlideshow, VideoPaused}[worst], [...]string{AudioFull, AudioRedundant, AudioReduced}[voice]
}

// settle decides whether the quality is to be told: a level once it has lasted,
// what is left out at once.
func (g *leg) settle() {
	q, last := g.report.Quality, g.quality
	if q.Level != g.pending {
		g.pending, g.seconds = q.Level, 0
	}
	g.seconds++
	hold := worseHold
	if rank(q.Level) < rank(last.Level) {
		hold = betterHold
	}
	if q.Level == LevelLost || last.Level == "" {
		hold = 1
	}
	shown := q.Video != last.Video || q.Audio != last.Audio
	if q.Level == last.Level && !shown || q.Level != last.Level && g.seconds < hold && !shown {
		return
	}
	if g.seconds < hold {
		q.Level, q.Score, q.Why, q.Direction = last.Level, last.Score, last.Why, last.Direction
	}
	g.quality, g.dirty = q, true
}

func rank(level string) int {
	for i, l := range levels {
		if l == level {
			return i
		}
	}
	return len(levels)
}

// add takes a second into the summary.
func (s *sums) add(g *leg, now time.Time) {
	r := &g.report
	if s.n++; s.n == 1 || r.Quality.Score < s.worst {
		s.worst = r.Quality.Score
	}
	s.score += float64(r.Quality.Score)
	s.rtt += r.RTT.Seconds()
	s.down, s.up = s.down+r.Down.Loss, s.up+r.Up.Loss
	s.sent, s.got = s.sent+float64(r.Down.Bitrate), s.got+float64(r.Up.Bitrate)
	if i := rank(r.Quality.Level); i < len(s.levels) {
		s.levels[i]++
	}
	if r.Estimate > 0 && (s.least == 0 || r.Estimate < s.least) {
		s.least = r.Estimate
	}
	if !g.statsAt.IsZero() && now.Sub(g.statsAt) < toldFresh {
		s.told++
		s.frozen, s.conc = s.frozen+g.stats.Frozen, s.conc+g.stats.Concealed
	}
}

func (s *sums) summary() Summary {
	if s.n == 0 {
		return Summary{Levels: map[string]int{}}
	}
	n, told := float64(s.n), float64(max(s.told, 1))
	out := Summary{
		Seconds: s.n, Score: int(s.score/n + 0.5), Worst: s.worst, Levels: map[string]int{},
		RTT: time.Duration(s.rtt / n * float64(time.Second)), DownLoss: s.down / n, UpLoss: s.up / n,
		Frozen: s.frozen / told, Concealed: s.conc / told,
		DownBitrate: int(s.sent / n), UpBitrate: int(s.got / n), LeastEstimate: s.least,
	}
	for i, c := range s.levels {
		if c > 0 {
			out.Levels[levels[i]] = c
		}
	}
	return out
}
