package sfu

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media"
)

// pace is how fast tests send what plays at frameTime.
const pace = 10 * time.Millisecond

// play sends frames on a track, one every pace.
func (c *client) play(track interface{ WriteSample(media.Sample) error }, frames [][]byte, each time.Duration) {
	c.t.Helper()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for _, f := range frames {
		<-ticker.C
		c.must(track.WriteSample(media.Sample{Data: f, Duration: each}))
	}
}

// pictures counts the pictures that have ended, with c.mu held.
func pictures(packets []*rtp.Packet) (n int) {
	for _, p := range packets {
		if p.Marker {
			n++
		}
	}
	return n
}

func (c *client) videoOf(other string) []*rtp.Packet {
	if s := c.slotOf(other); s != nil {
		return c.got[s.VideoMid]
	}
	return nil
}

// connected joins and waits until media can flow.
func (c *client) connected(room string) {
	c.t.Helper()
	c.join(room)
	c.part.Ready()
	c.await("a connection", func() bool { return len(c.states) > 0 && c.states[0] == "connected" })
}

// steps is a level per picture that tells each from its neighbours.
func steps(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(40 + i*7%160)
	}
	return out
}

// ending is the end of the newest packet, which no rewriting touches.
func ending(packets []*rtp.Packet) string {
	b := inOrder(packets)[len(packets)-1].Payload
	return string(b[max(4, len(b)-12):])
}

func checkLevels(t *testing.T, who string, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d pictures decoded of %d", who, len(got), len(want))
		return
	}
	for i := range got {
		if !near(got[i], want[i]) {
			t.Errorf("%s: picture %d has level %d, want %d", who, i, got[i], want[i])
		}
	}
}

func near(a, b byte) bool { return max(a, b)-min(a, b) <= 3 }

// TestCodecsDecode publishes real video of every codec. Who was there from the
// start decodes every picture; who joins in the middle starts at a key frame and
// misses none from there on.
func TestCodecsDecode(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			const n, half = 90, 40
			levels := steps(n)
			frames := f.pictures(t, "160x120", levels)
			if len(frames) != n {
				t.Fatalf("%d pictures encoded", len(frames))
			}
			s := newTestSFU(t)
			anna := newClient(t, s, "anna", 1, withCodec(f.capability))
			bert := newClient(t, s, "bert", 1)
			carl := newClient(t, s, "carl", 2)
			anna.connected("r")
			bert.connected("r")
			anna.play(anna.cam, frames[:half], frameTime)
			bert.await("the first half", func() bool { return pictures(bert.videoOf("anna")) >= half })
			carl.connected("r")
			anna.play(anna.cam, frames[half:], frameTime)
			bert.await("all pictures", func() bool { return pictures(bert.videoOf("anna")) >= n })
			last := ending(bert.videoOf("anna"))
			carl.await("the last picture", func() bool {
				got := carl.videoOf("anna")
				return pictures(got) >= n-50 && ending(got) == last
			})
			early := f.decode(t, "160x120", bert.videoOf("anna"))
			checkLevels(t, "from the start", early, levels)
			late := f.decode(t, "160x120", carl.videoOf("anna"))
			if len(late) >= n {
				t.Fatalf("who came late decoded %d pictures", len(late))
			}
			first := n - len(late)
			if first%25 != 0 {
				t.Errorf("who came late starts at picture %d, which is no key frame", first)
			}
			checkLevels(t, "late", late, levels[first:])
		})
	}
}

// TestOpusDecodes hears a tone through the server.
func TestOpusDecodes(t *testing.T) {
	packets := opus(t, "440", "1")
	s := newTestSFU(t)
	anna, bert := newClient(t, s, "anna", 1), newClient(t, s, "bert", 1)
	anna.connected("r")
	bert.connected("r")
	heard := func() []*rtp.Packet {
		if s := bert.slotOf("anna"); s != nil {
			return bert.got[s.AudioMid]
		}
		return nil
	}
	anna.play(anna.mic, packets[:1], 20*time.Millisecond)
	bert.await("the first packet", func() bool { return len(heard()) == 1 })
	anna.play(anna.mic, packets[1:], 20*time.Millisecond)
	bert.await("every packet", func() bool { return len(heard()) == len(packets) })
	samples := pcm(t, heard())
	const skipped = 4 // packets that the container says to drop at the start
	if n := len(samples); n < (len(packets)-skipped)*960 || n > len(packets)*960 {
		t.Errorf("%d samples of %d packets", n, len(packets))
	}
	crossings := 0
	for i := 1; i < len(samples); i++ {
		if (samples[i-1] < 0) != (samples[i] < 0) {
			crossings++
		}
	}
	if hertz := float64(crossings) / 2 / (float64(len(samples)) / 48000); hertz < 420 || hertz > 460 {
		t.Errorf("a tone of %.0f Hz", hertz)
	}
}

// TestSimulcastDecodes sends three sizes, each in its own grey. The subscriber
// comes to see the best; when that stops, the next one; and decodes it all as
// one stream.
func TestSimulcastDecodes(t *testing.T) {
	f := formats[0]
	const n = 50
	sizes := map[string]string{"l": "80x60", "m": "160x120", "h": "320x240"}
	greys := map[string]byte{"l": 60, "m": 120, "h": 180}
	frames := map[string][][]byte{}
	for rid, size := range sizes {
		levels := make([]byte, n)
		for i := range levels {
			levels[i] = greys[rid]
		}
		frames[rid] = f.pictures(t, size, levels)
	}
	s := newTestSFU(t)
	anna := newClient(t, s, "anna", 1, withSimulcast("l", "m", "h"))
	bert := newClient(t, s, "bert", 1)
	anna.connected("r")
	bert.connected("r")
	seen := 0
	send := func(rids []string, until string, ok func() bool) {
		t.Helper()
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for i := 0; ; i = (i + 1) % n {
			for _, rid := range rids {
				c := anna.cams[rid]
				anna.must(c.WriteSample(media.Sample{Data: frames[rid][i], Duration: frameTime}))
			}
			bert.mu.Lock()
			done := ok()
			bert.mu.Unlock()
			if seen++; done {
				return
			}
			if seen > 3000 {
				t.Fatalf("sent %d pictures, but never %s", seen, until)
			}
			<-ticker.C
		}
	}
	var shown int
	full := func() bool { shown = pictures(bert.videoOf("anna")); return shown >= 60 }
	send([]string{"l", "m", "h"}, "60 pictures came", full)
	before := shown
	send([]string{"l", "m"}, "40 pictures of the next layer came", func() bool {
		return pictures(bert.videoOf("anna")) >= before+40
	})
	bert.mu.Lock()
	levels := f.decode(t, "160x120", bert.videoOf("anna"))
	bert.mu.Unlock()
	var order []byte
	for _, l := range levels {
		if len(order) == 0 || !near(order[len(order)-1], l) {
			order = append(order, l)
		}
	}
	if k := len(order); k < 2 || !near(order[k-1], greys["m"]) || !near(order[k-2], greys["h"]) {
		t.Errorf("the greys seen are %v", order)
	}
	if len(levels) < before+40 {
		t.Errorf("%d pictures decoded of %d", len(levels), before+40)
	}
}
