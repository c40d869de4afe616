package consult

import (
	"maps"
	"time"
)

// Quality is how a call is for one participant. The words are those of package
// sfu.
type Quality struct {
	Score     int    // 0 to 100
	Level     string // excellent, good, poor, bad, lost
	Why       string // what weighs most, "" where nothing does
	Direction string // "down" (to the participant) or "up", "" where nothing weighs
	Video     string // the least of what is shown: full, layer, slideshow, paused
	Audio     string // full, redundant, reduced
}

// Flow is one direction of a participant's media. Loss is a share, from 0 to 1,
// before repair; Bitrate is in bit/s.
type Flow struct {
	Loss    float64
	Jitter  time.Duration
	Bitrate int
}

// LegQuality is what is known of a participant's media now, and so far.
type LegQuality struct {
	ParticipantID string
	Quality       Quality
	RTT           time.Duration // 0 while unknown
	Estimate      int           // what the link to the participant is held to carry, bit/s; 0 while unknown
	Down, Up      Flow
	Summary       QualitySummary
}

// QualitySummary is a stay in a call, or several. Means are over its seconds.
type QualitySummary struct {
	Seconds int            `json:"seconds"`
	Score   int            `json:"score"`  // mean
	Worst   int            `json:"worst"`  // lowest
	Levels  map[string]int `json:"levels"` // seconds at each
	RTT     time.Duration  `json:"rtt"`    // mean
	// Shares from 0 to 1: of packets lost, and of the time in which pictures stood
	// still and sound was concealed, as far as the participant's page told.
	DownLoss      float64 `json:"down_loss"`
	UpLoss        float64 `json:"up_loss"`
	Frozen        float64 `json:"frozen"`
	Concealed     float64 `json:"concealed"`
	DownBitrate   int     `json:"down_bitrate"` // mean, bit/s
	UpBitrate     int     `json:"up_bitrate"`
	LeastEstimate int     `json:"least_estimate"` // the lowest the link was held to carry, bit/s; 0: unknown
}

// Add takes another stay in.
func (q *QualitySummary) Add(o QualitySummary) {
	if o.Seconds <= 0 {
		return
	}
	if q.Seconds <= 0 {
		*q = o
		q.Levels = maps.Clone(o.Levels)
		return
	}
	n, m := float64(q.Seconds), float64(o.Seconds)
	mean := func(a, b float64) float64 { return (a*n + b*m) / (n + m) }
	whole := func(a, b int) int { return int(mean(float64(a), float64(b)) + 0.5) }
	q.Score, q.Worst = whole(q.Score, o.Score), min(q.Worst, o.Worst)
	q.RTT = time.Duration(mean(float64(q.RTT), float64(o.RTT)))
	q.DownLoss, q.UpLoss = mean(q.DownLoss, o.DownLoss), mean(q.UpLoss, o.UpLoss)
	q.Frozen, q.Concealed = mean(q.Frozen, o.Frozen), mean(q.Concealed, o.Concealed)
	q.DownBitrate, q.UpBitrate = whole(q.DownBitrate, o.DownBitrate), whole(q.UpBitrate, o.UpBitrate)
	if q.LeastEstimate == 0 || o.LeastEstimate > 0 && o.LeastEstimate < q.LeastEstimate {
		q.LeastEstimate = o.LeastEstimate
	}
	if q.Levels == nil {
		q.Levels = map[string]int{}
	}
	for level, seconds := range o.Levels {
		q.Levels[level] += seconds
	}
	q.Seconds += o.Seconds
}
