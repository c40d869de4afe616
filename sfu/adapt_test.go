package sfu

import (
	"slices"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/impair"
	"github.com/chatmed/chatmed/sfu/congestion"
)

// Two see one who sends simulcast, the one over a link of 300, then 100, then 300
// kbit/s.
func TestPoorLinkGetsLessAndHurtsNobody(t *testing.T) {
	s := newSim(t)
	pub := s.publisher("anna", three()...)
	good := s.subscriber("good", link(5_000_000))
	poor := s.subscriber("poor", link(300_000))
	s.run(8 * time.Second)
	if n := good.since(); n.gaps > 0 || n.lostAudio > 0 || n.sizes[len(n.sizes)-1] != 1280 || good.v.told.quality[0].Level != LevelExcellent {
		t.Errorf("the good link: %+v", n)
	}
	if n := poor.since(); n.gaps > 0 || n.lostAudio > 0 || n.frames < 190 || slices.Max(n.sizes) > 640 {
		t.Errorf("at 300 kbit/s: %+v", n)
	}
	s.run(12 * time.Second)
	if n := poor.since(); n.gaps > 0 || n.lostAudio > 0 || n.delay > 350*time.Millisecond || n.bytes*8/12 > 300_000 {
		t.Errorf("at 300 kbit/s, settled: %+v", n)
	}
	keys := [...]int{pub.layers[1].keys, pub.layers[2].keys}
	poor.set(t, s, link(100_000))
	s.run(3 * time.Second) // what was in the queue is lost, and less is sent
	poor.since()
	s.run(17 * time.Second)
	if n := poor.since(); n.lostAudio > 0 || n.audio < 840 || n.delay > 420*time.Millisecond || n.frames > 5*17 {
		t.Errorf("at 100 kbit/s: %+v", n)
	}
	if v, _ := poor.v.tr.shownAsLocked(); v != VideoSlideshow && v != VideoPaused {
		t.Errorf("at 100 kbit/s the picture is %s", v)
	}
	poor.set(t, s, link(300_000))
	s.run(28 * time.Second)
	poor.since()
	s.run(5 * time.Second)
	if n := poor.since(); n.gaps > 0 || n.lostAudio > 0 || n.frames < 60 {
		t.Errorf("at 300 kbit/s again: %+v", n)
	}
	if n := good.since(); n.gaps > 0 || n.lostAudio > 0 || n.frames < 1600 || len(n.sizes) > 0 {
		t.Errorf("the good link was hurt: %+v", n)
	}
	// The poor one's switches cost key frames of the encodings it takes alone.
	if pub.layers[2].keys != keys[1] || pub.layers[1].keys > keys[0]+3 {
		t.Errorf("%d and %d key frames, before %v", pub.layers[1].keys, pub.layers[2].keys, keys)
	}
}

// On a steady link the picture settles: no flapping.
func TestNoFlapping(t *testing.T) {
	for _, rate := range []int{200_000, 450_000, 600_000, 900_000, 1_500_000} {
		s := newSim(t)
		s.publisher("anna", three()...)
		u := s.subscriber("bert", impair.Profile{Rate: rate, Queue: rate / 20, Delay: 25 * time.Millisecond, Jitter: 4 * time.Millisecond})
		s.run(20 * time.Second)
		u.since()
		var changes int
		last := ""
		for range 120 {
			s.run(500 * time.Millisecond)
			if now := u.plan(); now != last {
				changes++
				last = now
			}
		}
		n := u.since()
		if changes > 7 {
			t.Errorf("%d bit/s: %d changes in a minute", rate, changes)
		}
		if n.lostAudio > 3 || n.bytes*8/60 < rate*45/100 && rate < 1_400_000 {
			t.Errorf("%d bit/s: lost %d of the sound, used %d bit/s, %s", rate, n.lostAudio, n.bytes*8/60, u.plan())
		}
	}
}

// A single encoding that does not fit is bounded at the publisher, and the bound
// goes once the link has grown.
func TestPublisherFollowsTheBestLink(t *testing.T) {
	s := newSim(t)
	pub := s.publisher("anna", &simEncoding{rate: 800_000, width: 640, height: 360})
	one := s.subscriber("one", link(300_000))
	follow := func() { // as the page does
		if told := pub.v.told.sending; len(told) > 0 {
			pub.layers[0].rate = 800_000
			if most := told[len(told)-1]["camera"][0].MaxBitrate; most > 0 {
				pub.layers[0].rate = min(800_000, most)
			}
		}
	}
	wait := func(d time.Duration) {
		for range int(d / (200 * time.Millisecond)) {
			s.run(200 * time.Millisecond)
			follow()
		}
	}
	wait(15 * time.Second)
	one.since()
	wait(5 * time.Second)
	if n := one.since(); pub.layers[0].rate > 260_000 || n.frames < 50 || n.lostAudio > 0 {
		t.Errorf("bounded to %d: %+v, %s", pub.layers[0].rate, n, one.plan())
	}
	two := s.subscriber("two", link(5_000_000))
	wait(15 * time.Second)
	two.since()
	wait(5 * time.Second)
	if n := two.since(); pub.layers[0].rate < 800_000 || n.frames < 120 {
		t.Errorf("with a better link bounded to %d: %+v", pub.layers[0].rate, n)
	}
	if n := one.since(); n.lostAudio > 5 {
		t.Errorf("the poor one lost %d of the sound", n.lostAudio)
	}
}

// What nobody watches is paused at the publisher, and comes back at once.
func TestUnwatchedLayersArePaused(t *testing.T) {
	s := newSim(t)
	pub := s.publisher("anna", three()...)
	u := s.subscriber("bert", link(5_000_000))
	off := func() (out string) {
		for _, l := range pub.layers {
			if l.off {
				out += l.rid
			}
		}
		return out
	}
	s.run(4 * time.Second)
	u.v.p.SetViews([]View{{Slot: 0, Width: 320, Height: 180, Visible: true}})
	s.run(12 * time.Second)
	if off() != "hf" {
		t.Errorf("shown small, %q is off", off())
	}
	if n := u.since(); n.sizes[len(n.sizes)-1] != 320 || n.gaps > 0 {
		t.Errorf("shown small: %+v", n)
	}
	u.v.p.SetViews([]View{{Slot: 0, Width: 1280, Height: 720, Visible: true}})
	s.run(6 * time.Second)
	if n := u.since(); len(n.sizes) == 0 || n.sizes[len(n.sizes)-1] != 1280 || n.gaps > 0 || n.frames < 140 {
		t.Errorf("shown large again: %+v, off %q", n, off())
	}
	s.run(20 * time.Second)
	if off() != "qh" {
		t.Errorf("shown large, %q is off", off())
	}
	u.since()
	u.v.p.SetViews([]View{{Slot: 0}})
	s.run(time.Second)
	u.since()
	s.run(25 * time.Second)
	if n := u.since(); n.frames > 0 || n.audio < 1200 || off() != "qhf" {
		t.Errorf("hidden: %+v, off %q", n, off())
	}
	tap := s.tap(&copier{})
	var ids []string
	for id := range s.room.participants {
		ids = append(ids, id)
	}
	if !tap.Open(ids) {
		t.Fatal("the tap did not open")
	}
	s.run(time.Second)
	if pub.layers[2].off {
		t.Error("the best encoding is off while it is recorded")
	}
	u.v.p.SetViews(nil)
	s.run(2 * time.Second)
	if n := u.since(); n.frames < 25 || n.gaps > 0 {
		t.Errorf("shown again: %+v", n)
	}
}

// Redundancy goes out where packets are lost, and only there; a publisher without
// it has it added.
func TestRedundancyWhereLossAsksForIt(t *testing.T) {
	for _, own := range []bool{false, true} {
		s := newSim(t)
		pub := s.publisher("anna", three()...)
		pub.red = own
		lossy := impair.Profile{Rate: 2_000_000, Queue: 100_000, Delay: 25 * time.Millisecond, Loss: 0.08}
		clean, poor := s.subscriber("clean", link(5_000_000)), s.subscriber("poor", lossy)
		none := s.subscriber("none", lossy, func(o *offerSpec) { o.noRED = true })
		s.run(10 * time.Second)
		clean.since()
		poor.since()
		s.run(5 * time.Second)
		c, p, n := clean.since(), poor.since(), none.since()
		if c.red > 0 || p.red < p.audio*9/10 || n.red > 0 {
			t.Errorf("publisher's own %v: clean %d, poor %d of %d, none %d", own, c.red, p.red, p.audio, n.red)
		}
	}
}

func TestSpeakerAndStalledSource(t *testing.T) {
	s := newSim(t)
	anna, bert := s.publisher("anna", three()...), s.publisher("bert", three()...)
	u := s.subscriber("carl", link(5_000_000))
	anna.loud, bert.loud = true, false
	s.run(3 * time.Second)
	anna.loud, bert.loud = false, true
	s.run(3 * time.Second)
	anna.loud, bert.loud = false, false
	s.run(3 * time.Second)
	if got := u.v.told.speaker; !slices.Equal(got, []string{"anna", "bert"}) {
		t.Errorf("speakers %v", got)
	}
	anna.dark = true
	s.run(4 * time.Second)
	anna.dark = false
	s.run(time.Second)
	if got := anna.v.told.stalled; len(got) != 2 || !slices.Equal(got[0], []string{consult.SourceCamera, consult.SourceMicrophone}) || len(got[1]) != 0 {
		t.Errorf("stalled %v", got)
	}
	if got := u.v.told.stalled; len(got) > 0 {
		t.Errorf("a muted source has stalled: %v", got)
	}
}

func TestQualityInWords(t *testing.T) {
	s := newSim(t)
	s.publisher("anna", three()...)
	u := s.subscriber("bert", link(5_000_000))
	s.run(6 * time.Second)
	u.set(t, s, link(80_000))
	s.run(20 * time.Second)
	told := u.v.told.quality
	first, last := told[0], told[len(told)-1]
	if first.Level != LevelExcellent || first.Why != "" || last.Level == LevelExcellent || last.Why != WhyBandwidth ||
		last.Direction != "down" || last.Video != VideoPaused && last.Video != VideoSlideshow {
		t.Errorf("told %+v", told)
	}
	if len(told) > 10 {
		t.Errorf("told %d times", len(told))
	}
	r := u.v.p.Report()
	if r.ParticipantID != "bert" || r.Summary.Seconds < 24 || r.Summary.Worst >= r.Summary.Score || r.Estimate == 0 || r.Summary.LeastEstimate > 200_000 || r.Summary.DownBitrate == 0 {
		t.Errorf("report %+v", r)
	}
	u.v.p.SetStats([]SlotStats{{Concealed: 0.5}})
	s.run(4 * time.Second)
	if q := u.v.p.Report().Quality; q.Level != LevelBad || q.Why != WhyLoss {
		t.Errorf("half of the sound concealed: %+v", q)
	}
	s.subs = nil // nothing is heard of anybody
	s.run(6 * time.Second)
	if q := u.v.p.Report().Quality; q.Level != LevelLost || q.Why != WhySilence || q.Score != 0 {
		t.Errorf("silence: %+v", q)
	}
}

// A link that carries everything is found to, without an estimate to begin with.
func TestProbesFindTheLink(t *testing.T) {
	for name, alter := range map[string]func(*offerSpec){"RTX": func(*offerSpec) {}, "none": func(o *offerSpec) { o.noRTX = true }} {
		s := newSim(t)
		s.sfu.cfg.Estimate = congestion.Config{Start: 100_000}
		s.publisher("anna", three()...)
		u := s.subscriber("bert", link(4_000_000), alter)
		s.run(5 * time.Second)
		n := u.since()
		if got := u.v.tr.media.path.est.Estimate().Target; got < 1_500_000 || n.sizes[len(n.sizes)-1] != 1280 {
			t.Errorf("%s: %d bit/s after 5 s, %+v", name, got, n)
		}
		if name == "RTX" && n.padding == 0 || name == "none" && n.padding > 0 {
			t.Errorf("%s: %d packets over RTX", name, n.padding)
		}
	}
}
