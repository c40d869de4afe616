package congestion

import (
	"math/rand/v2"
	"testing"
	"time"
)

// camera is a source with the three simulcast layers of the pages, two temporal
// layers each.
func camera(id uint64) Slot {
	return Slot{Source: id, Audio: 59_000, RED: 32_000, Visible: true, Width: 1280, Height: 720, Layers: []Layer{
		{Width: 320, Height: 180, Rate: [MaxTemporal]int{70_000, 110_000}, KeyFrame: 4_000},
		{Width: 640, Height: 360, Rate: [MaxTemporal]int{230_000, 360_000}, KeyFrame: 12_000},
		{Width: 1280, Height: 720, Rate: [MaxTemporal]int{800_000, 1_300_000}, KeyFrame: 35_000},
	}}
}

func clinic(n int) (slots []Slot) {
	for i := range n {
		slots = append(slots, camera(uint64(i+1)))
	}
	slots[0].Speaking = true
	return slots
}

// decide is what a fresh allocator gives, without its caution at the start.
func decide(target int, loss float64, slots []Slot) []Decision {
	var a Allocator
	return a.Allocate(int(float64(target)/headroom)+1, loss, slots, simStart).Slots
}

func TestLadder(t *testing.T) {
	one := clinic(1)
	for _, c := range []struct {
		name     string
		target   int
		loss     float64
		audio    AudioMode
		video    VideoMode
		spatial  int
		temporal int
		fps      int
	}{
		{name: "nothing to speak of", target: 20_000, audio: AudioPlain},
		{name: "thirty", target: 30_000, audio: AudioPlain},
		{name: "voice only", target: 80_000, audio: AudioPlain},
		{name: "slow pictures", target: 95_000, audio: AudioPlain, video: Slideshow, fps: 1},
		{name: "half the pictures", target: 140_000, audio: AudioPlain, video: Moving},
		{name: "lowest layer", target: 180_000, audio: AudioPlain, video: Moving, temporal: 1},
		{name: "loss, and redundancy instead of a better picture", target: 180_000, loss: 0.08, audio: AudioRED, video: Moving},
		{name: "loss, but no room for redundancy", target: 95_000, loss: 0.08, audio: AudioPlain, video: Slideshow, fps: 1},
		{name: "middle", target: 500_000, audio: AudioPlain, video: Moving, spatial: 1, temporal: 1},
		{name: "all", target: 3_000_000, audio: AudioPlain, video: Moving, spatial: 2, temporal: 1},
		{name: "all, with loss", target: 3_000_000, loss: 0.05, audio: AudioRED, video: Moving, spatial: 2, temporal: 1},
	} {
		d := decide(c.target, c.loss, one)[0]
		if d.Audio != c.audio || d.Video != c.video || d.Spatial != c.spatial || d.Temporal != c.temporal || d.FPS != c.fps {
			t.Errorf("%s (%d): %+v", c.name, c.target, d)
		}
		if d.Rate > c.target && d.Video != NoVideo {
			t.Errorf("%s: costs %d of %d", c.name, d.Rate, c.target)
		}
	}
}

func TestWhatIsDisplayedDecides(t *testing.T) {
	small := camera(1)
	small.Width, small.Height = 300, 170
	hidden := camera(2)
	hidden.Visible = false
	tall := camera(3) // a portrait picture element: the width decides
	tall.Width, tall.Height = 600, 1200
	unknown := camera(4)
	unknown.Width, unknown.Height = 0, 0
	d := decide(20_000_000, 0, []Slot{small, hidden, tall, unknown, {}})
	for i, want := range []int{0, 0, 1, 2, 0} {
		if d[i].Spatial != want {
			t.Errorf("slot %d: layer %d, want %d", i, d[i].Spatial, want)
		}
	}
	if d[1].Video != NoVideo || d[1].Audio != AudioPlain || d[1].Limited {
		t.Errorf("hidden: %+v", d[1])
	}
	if d[4] != (Decision{}) {
		t.Errorf("free: %+v", d[4])
	}
	if d[0].Limited || d[2].Limited {
		t.Error("limited where nothing more is worth showing")
	}
}

func TestVoicesFirst(t *testing.T) {
	slots := clinic(4)
	d := decide(260_000, 0, slots)
	for i := range d {
		if d[i].Audio == AudioOff || d[i].AudioRate < slots[i].Audio {
			t.Errorf("slot %d at 260 kbit/s: %+v", i, d[i])
		}
	}
	d = decide(120_000, 0, slots)
	for i := range d {
		if d[i].Audio == AudioOff || d[i].AudioRate < thrifty || d[i].AudioRate >= slots[i].Audio || d[i].Video != NoVideo {
			t.Errorf("slot %d at 120 kbit/s: %+v", i, d[i])
		}
	}
	slots[0].Speaking, slots[2].Speaking = false, true
	d = decide(30_000, 0, slots)
	for i := range d {
		if (d[i].Audio != AudioOff) != (i == 2) {
			t.Errorf("slot %d at 30 kbit/s: %+v", i, d[i])
		}
	}
}

func TestScreenAndSpeakerComeFirst(t *testing.T) {
	slots := clinic(3)
	slots[2].Screen, slots[2].Speaking, slots[2].Audio = true, false, 0
	d := decide(1_100_000, 0, slots)
	if d[2].Spatial < d[0].Spatial || d[0].Spatial < d[1].Spatial || d[2].Spatial <= d[1].Spatial && d[0].Spatial <= d[1].Spatial {
		t.Errorf("screen %+v\nspeaker %+v\nother %+v", d[2], d[0], d[1])
	}
	// A text that can be read comes before one that moves.
	screen := camera(9)
	screen.Screen, screen.Audio = true, 0
	if d := decide(850_000, 0, []Slot{screen}); d[0].Spatial != 2 || d[0].Temporal != 0 {
		t.Errorf("screen %+v", d[0])
	}
}

// TestNeverOverBudget: whatever is shown, the plan costs no more than the target
// once voices are paid, and more target gives no slot less in all.
func TestNeverOverBudget(t *testing.T) {
	for n := 1; n <= 6; n++ {
		slots := clinic(n)
		last := 0
		for target := 20_000; target < 6_000_000; target += 7_000 {
			d := decide(target, 0.05, slots)
			sum := total(d)
			if sum > target+1 && sum > thrifty {
				t.Fatalf("%d slots at %d cost %d", n, target, sum)
			}
			if sum+250_000 < last {
				t.Fatalf("%d slots at %d cost %d, less than %d", n, target, sum, last)
			}
			last = max(last, sum)
		}
	}
}

// clocked steps an allocator five times a second.
type clocked struct {
	a     Allocator
	now   time.Time
	slots []Slot
	ups   int
	downs int
	level int
}

func (c *clocked) run(d time.Duration, target func(at time.Duration) int) {
	for at := time.Duration(0); at < d; at += 200 * time.Millisecond {
		c.now = c.now.Add(200 * time.Millisecond)
		p := c.a.Allocate(target(at), 0, c.slots, c.now)
		l := c.a.slots[0].ladder.find(&p.Slots[0])
		if l > c.level {
			c.ups++
		}
		if l < c.level {
			c.downs++
		}
		c.level = l
	}
}

func fixed(v int) func(time.Duration) int { return func(time.Duration) int { return v } }

func TestUpOnlyAfterItHasFitted(t *testing.T) {
	c := clocked{now: simStart, slots: clinic(1)}
	c.run(time.Second, fixed(300_000))
	start := c.level
	c.run(2*time.Second, fixed(600_000))
	if c.level != start {
		t.Error("up at once")
	}
	c.run(2*time.Second, fixed(600_000))
	if c.level <= start {
		t.Error("not up after 4 s")
	}
	before := c.level
	c.run(200*time.Millisecond, fixed(200_000))
	if c.level >= before {
		t.Error("not down at once")
	}
}

func TestFailedUpsGrowRarer(t *testing.T) {
	c := clocked{now: simStart, slots: clinic(1)}
	c.run(time.Second, fixed(300_000))
	c.ups, c.downs = 0, 0
	for range 10 { // a link that says 600 while little is sent and 300 when more is
		c.run(30*time.Second, func(time.Duration) int {
			if c.level > 3 && c.a.plan[0].Rate > 300_000 {
				return 300_000
			}
			return 600_000
		})
	}
	if c.ups > 10 {
		t.Errorf("%d steps up and %d down in 300 s", c.ups, c.downs)
	}
}

func TestHiddenAndShownAgain(t *testing.T) {
	c := clocked{now: simStart, slots: clinic(2)}
	c.run(20*time.Second, fixed(1_000_000))
	c.slots[1].Visible = false
	c.run(400*time.Millisecond, fixed(1_000_000))
	if c.a.plan[1].Video != NoVideo {
		t.Error("hidden, but sent")
	}
	c.slots[1].Visible = true
	c.run(400*time.Millisecond, fixed(1_000_000))
	if c.a.plan[1].Video != Moving {
		t.Error("shown again, but not sent at once")
	}
}

func TestLayerThatGoes(t *testing.T) {
	c := clocked{now: simStart, slots: clinic(1)}
	c.run(10*time.Second, fixed(3_000_000))
	c.slots[0].Layers = c.slots[0].Layers[:1]
	c.run(400*time.Millisecond, fixed(3_000_000))
	if d := c.a.plan[0]; d.Spatial != 0 || d.Video != Moving || d.Limited {
		t.Errorf("%+v", d)
	}
}

// TestRedundancyComesAtOnce: when loss asks for it, redundancy comes before a
// better picture, and goes when the loss has long gone.
func TestRedundancyComesAtOnce(t *testing.T) {
	var a Allocator
	now, slots := simStart, clinic(1)
	step := func(loss float64) Plan {
		now = now.Add(200 * time.Millisecond)
		return a.Allocate(180_000, loss, slots, now)
	}
	step(0)
	for range 100 {
		step(0)
	}
	if d := a.plan[0]; d.Audio != AudioPlain || d.Video != Moving {
		t.Fatalf("%+v", d)
	}
	if p := step(0.08); p.Slots[0].Audio != AudioRED || !p.Changed || p.Cost > 180_000 {
		t.Errorf("with loss: %+v", p)
	}
	for range 30 {
		step(0.02)
	}
	if a.plan[0].Audio != AudioRED {
		t.Error("given up while there was some loss")
	}
	for range 60 {
		step(0)
	}
	if a.plan[0].Audio != AudioPlain {
		t.Error("kept without loss")
	}
}

// TestChangedIsTrue: whoever applies a plan only when it is said to have changed
// has the plan.
func TestChangedIsTrue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	var a Allocator
	slots := clinic(3)
	applied := make([]Decision, 3)
	now := simStart
	for i := range 20_000 {
		now = now.Add(200 * time.Millisecond)
		s := &slots[rnd.IntN(3)]
		switch rnd.IntN(12) {
		case 0:
			s.Visible = !s.Visible
		case 1:
			*s = camera(uint64(rnd.IntN(4)))
		case 2:
			s.Layers = s.Layers[:rnd.IntN(len(s.Layers)+1)]
		case 3:
			s.Audio = rnd.IntN(2) * 59_000
		case 4:
			s.Speaking = !s.Speaking
		}
		p := a.Allocate(20_000+rnd.IntN(1_500_000), rnd.Float64()*0.06, slots, now)
		if p.Changed {
			copy(applied, p.Slots)
		}
		for k := range applied {
			if !same(&applied[k], &p.Slots[k]) {
				t.Fatalf("step %d, slot %d: %+v, but told was %+v", i, k, p.Slots[k], applied[k])
			}
		}
	}
}
