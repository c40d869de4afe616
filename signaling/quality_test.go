package signaling

import (
	"slices"
	"testing"

	"github.com/chatmed/chatmed/sfu"
)

// What the page shows reaches the SFU, and what the SFU decides reaches the page.
func TestAdaptationIsTold(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.call()
	me := patient.id
	patient.send(obj{"type": "view", "slots": []obj{{"slot": 0, "width": 1280, "height": 720, "visible": false}}})
	patient.send(obj{"type": "stats", "slots": []obj{{"slot": 0, "concealed": 0.5, "frozen": 0}}})
	w.media.until(t, "view and statistics at the SFU", func() bool {
		leg := w.media.of(me)
		return slices.Equal(leg.views, []sfu.View{{Slot: 0, Width: 1280, Height: 720}}) &&
			slices.Equal(leg.stats, []sfu.SlotStats{{Concealed: 0.5}})
	})
	w.media.mu.Lock()
	to := w.media.of(me).request.Observer
	w.media.mu.Unlock()

	to.SendChanged(map[string][]sfu.SendLayer{"camera": {{RID: "q", Active: true, MaxBitrate: 90_000}, {RID: "h"}}})
	patient.await("send", func(m obj) bool {
		l := m["sources"].(obj)["camera"].(obj)["layers"].([]any)
		low, high := l[0].(obj), l[1].(obj)
		return low["rid"] == "q" && low["active"] == true && low["max_bitrate"] == 90_000.0 &&
			high["active"] == false && high["max_bitrate"] == nil
	})
	to.QualityChanged(sfu.Quality{Score: 45, Level: sfu.LevelPoor, Why: sfu.WhyBandwidth, Direction: "down", Video: sfu.VideoSlideshow, Audio: sfu.AudioFull})
	patient.await("quality", func(m obj) bool {
		return m["level"] == "poor" && m["why"] == "bandwidth" && m["video"] == "slideshow" && m["score"] == 45.0
	})
	to.StalledChanged([]string{"microphone"})
	for _, c := range []*client{doctor, patient} {
		c.await("participants", func(m obj) bool {
			for _, v := range m["participants"].([]any) {
				if p := v.(obj); p["id"] == me {
					return p["sources"].(obj)["microphone"].(obj)["stalled"] == true
				}
			}
			return false
		})
	}
	to.SpeakerChanged(me)
	patient.await("speaker", func(m obj) bool { return m["participant_id"] == me })
	w.media.mu.Lock()
	w.media.of(me).report = sfu.Report{Summary: sfu.Summary{Seconds: 7, Score: 80}}
	w.media.mu.Unlock()
	to.SpeakerChanged("")
	patient.await("speaker", func(m obj) bool { return m["participant_id"] == nil })
	doctor.request(obj{"type": "end"}, "ack")
	w.eventually("the summary is stored", func() bool {
		got, err := w.store.Qualities(t.Context(), w.scope, c.ID)
		return err == nil && len(got) == 1 && got[me].Seconds == 7 && got[me].Score == 80
	})
}
