package signaling

import (
	"encoding/json"

	"github.com/chatmed/chatmed/sfu"
)

// number returns 0 for anything that is no number.
func (o object) number(key string) float64 {
	n, _ := o[key].(json.Number)
	f, err := n.Float64()
	if err != nil {
		return 0
	}
	return f
}

// each calls fn for every object of a list.
func (o object) each(key string, fn func(object)) {
	list, _ := o[key].([]any)
	for _, v := range list {
		fields, _ := v.(map[string]any)
		fn(object(fields))
	}
}

// viewRequest says how large each slot is shown.
type viewRequest struct{ views []sfu.View }

func readView(o object) viewRequest {
	m := viewRequest{views: []sfu.View{}}
	o.each("slots", func(s object) {
		m.views = append(m.views, sfu.View{
			Slot: s.integer("slot"), Width: s.integer("width"), Height: s.integer("height"), Visible: s.boolean("visible"),
		})
	})
	return m
}

func (m viewRequest) handle(s *session, id string) {
	s.joined(id, func(_ *room, p *participant) {
		p.media.views = m.views
		if p.media.leg != nil {
			p.media.leg.SetViews(m.views)
		}
	})
}

// statsRequest says how the slots have been received.
type statsRequest struct{ slots []sfu.SlotStats }

func readStats(o object) statsRequest {
	m := statsRequest{slots: []sfu.SlotStats{}}
	o.each("slots", func(s object) {
		m.slots = append(m.slots, sfu.SlotStats{
			Slot: s.integer("slot"), Concealed: s.number("concealed"), Frozen: s.number("frozen"),
		})
	})
	return m
}

func (m statsRequest) handle(s *session, id string) {
	s.inCall(id, func(_ *room, p *participant) {
		if p.media.leg != nil {
			p.media.leg.SetStats(m.slots)
		}
	})
}

// speakerMessage names who speaks.
type speakerMessage struct {
	Type          string  `json:"type"`
	ParticipantID *string `json:"participant_id"`
}

func (speakerMessage) kind() string { return "speaker" }

// sendMessage says what of its pictures the client should send.
type sendMessage struct {
	Type    string                `json:"type"`
	Sources map[string]sendSource `json:"sources"`
}

func (sendMessage) kind() string { return "send" }

type sendSource struct {
	Layers []sendLayer `json:"layers"`
}

type sendLayer struct {
	RID        *string `json:"rid"`
	Active     bool    `json:"active"`
	MaxBitrate *int    `json:"max_bitrate"`
}

func newSendMessage(sources map[string][]sfu.SendLayer) sendMessage {
	m := sendMessage{Type: "send", Sources: map[string]sendSource{}}
	for source, layers := range sources {
		out := make([]sendLayer, len(layers))
		for i, l := range layers {
			out[i] = sendLayer{RID: ifAny(l.RID), Active: l.Active, MaxBitrate: ifAny(l.MaxBitrate)}
		}
		m.Sources[source] = sendSource{out}
	}
	return m
}

// ifAny is null for a zero value.
func ifAny[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// qualityMessage says how the call is for this client.
type qualityMessage struct {
	Type      string  `json:"type"`
	Level     string  `json:"level"`
	Score     int     `json:"score"`
	Why       *string `json:"why"`
	Direction *string `json:"direction"`
	Video     string  `json:"video"`
	Audio     string  `json:"audio"`
}

func (qualityMessage) kind() string { return "quality" }

func newQualityMessage(q sfu.Quality) qualityMessage {
	return qualityMessage{
		Type: "quality", Level: q.Level, Score: q.Score, Why: ifAny(q.Why), Direction: ifAny(q.Direction),
		Video: q.Video, Audio: q.Audio,
	}
}
