package api

import (
	"context"
	"math"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// Quality tells how calls are and were.
type Quality interface {
	// Live is what is known now of those in the call, nil where it is not on this
	// node or has no media.
	Live(sessionID string) []consult.LegQuality
	// Qualities are the summaries of stays that are over, by participation.
	Qualities(ctx context.Context, sc consult.Scope, sessionID string) (map[string]consult.QualitySummary, error)
}

type qualityBody struct {
	SessionID    string               `json:"session_id"`
	Status       consult.Status       `json:"status"`
	Participants []participantQuality `json:"participants"`
}

type participantQuality struct {
	ParticipantID string       `json:"participant_id"`
	Role          consult.Role `json:"role"`
	Now           *qualityNow  `json:"now"`
	Call          *qualityCall `json:"call"`
}

type qualityNow struct {
	Level     string      `json:"level"`
	Score     int         `json:"score"`
	Why       *string     `json:"why"`
	Direction *string     `json:"direction"`
	Video     string      `json:"video"`
	Audio     string      `json:"audio"`
	RTT       *float64    `json:"rtt_ms"`
	Estimate  *int        `json:"estimated_bitrate"`
	Down      qualityFlow `json:"down"`
	Up        qualityFlow `json:"up"`
}

type qualityFlow struct {
	Loss    float64 `json:"loss"`
	Jitter  float64 `json:"jitter_ms"`
	Bitrate int     `json:"bitrate"`
}

type qualityCall struct {
	Seconds     int            `json:"seconds"`
	Score       int            `json:"score"`
	Worst       int            `json:"worst_score"`
	Levels      map[string]int `json:"levels"`
	RTT         *float64       `json:"rtt_ms"`
	DownLoss    float64        `json:"down_loss"`
	UpLoss      float64        `json:"up_loss"`
	Frozen      float64        `json:"frozen"`
	Concealed   float64        `json:"concealed"`
	DownBitrate int            `json:"down_bitrate"`
	UpBitrate   int            `json:"up_bitrate"`
	Least       *int           `json:"least_estimated_bitrate"`
}

// videoQuality is how the call is for each in it, and was for each who has been.
func (s *server) videoQuality(ctx context.Context, r *request) (any, error) {
	c, err := s.Consultations.Get(ctx, r.key.Scope, r.params["session_id"])
	if err != nil {
		return nil, err
	}
	parts, err := s.Participations.Participations(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, err
	}
	stored, err := s.Quality.Qualities(ctx, c.Scope, c.ID)
	if err != nil {
		return nil, err
	}
	live := map[string]consult.LegQuality{}
	if !c.Status.Final() {
		for _, q := range s.Quality.Live(c.ID) {
			live[q.ParticipantID] = q
		}
	}
	out := qualityBody{SessionID: c.ID, Status: c.Status, Participants: []participantQuality{}}
	for i := range parts {
		p := participantQuality{ParticipantID: parts[i].ID, Role: parts[i].Role}
		sum := stored[p.ParticipantID]
		if now, here := live[p.ParticipantID]; here {
			sum.Add(now.Summary)
			p.Now = qualityNowOf(&now)
		}
		if sum.Seconds > 0 {
			p.Call = qualityCallOf(&sum)
		}
		out.Participants = append(out.Participants, p)
	}
	return out, nil
}

func qualityNowOf(q *consult.LegQuality) *qualityNow {
	if q.Quality.Level == "" {
		return nil // nothing was heard yet
	}
	flow := func(f consult.Flow) qualityFlow { return qualityFlow{fraction(f.Loss), millis(f.Jitter), f.Bitrate} }
	return &qualityNow{
		Level: q.Quality.Level, Score: q.Quality.Score, Why: optional(q.Quality.Why), Direction: optional(q.Quality.Direction),
		Video: q.Quality.Video, Audio: q.Quality.Audio, RTT: known(q.RTT), Estimate: positive(q.Estimate),
		Down: flow(q.Down), Up: flow(q.Up),
	}
}

func qualityCallOf(q *consult.QualitySummary) *qualityCall {
	levels := q.Levels
	if levels == nil {
		levels = map[string]int{}
	}
	return &qualityCall{
		Seconds: q.Seconds, Score: q.Score, Worst: q.Worst, Levels: levels, RTT: known(q.RTT),
		DownLoss: fraction(q.DownLoss), UpLoss: fraction(q.UpLoss), Frozen: fraction(q.Frozen), Concealed: fraction(q.Concealed),
		DownBitrate: q.DownBitrate, UpBitrate: q.UpBitrate, Least: positive(q.LeastEstimate),
	}
}

// fraction rounds to four places.
func fraction(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// millis are milliseconds, rounded to tenths.
func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
}

func known(d time.Duration) *float64 {
	if d <= 0 {
		return nil
	}
	ms := millis(d)
	return &ms
}

func positive(n int) *int {
	if n <= 0 {
		return nil
	}
	return &n
}
