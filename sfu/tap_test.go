package sfu

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/chatmed/chatmed/internal/consult"
)

// taker is a Sink that writes down what it gets, as words.
type taker struct {
	mu    sync.Mutex // of tests in which several goroutines send
	words []string
	last  Packet
	muted map[string]bool
	open  bool
	stray int // packets while shut
}

func (k *taker) add(format string, args ...any) {
	k.words = append(k.words, fmt.Sprintf(format, args...))
}

func (k *taker) Gate(open bool, _ time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open = open
	k.add("%s", map[bool]string{true: "open", false: "shut"}[open])
}

func (k *taker) Packet(p *Packet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.open {
		k.stray++
	}
	k.last = *p
	text := strings.TrimLeft(string(p.Payload), "\x10\x30\x31\x00\x9d\x01\x2a@\xf8")
	if p.Start {
		text = "+" + text
	}
	k.add("%s", text)
}

func (k *taker) Report(s *Stream, _ time.Time, _ uint64, rtp uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.add("%s@%d", s.Source, rtp)
}

func (k *taker) Muted(_, source string, muted bool, _ time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if muted {
		k.add("%s=muted", source)
	} else if k.muted[source] {
		k.add("%s=on", source)
	}
	if k.muted == nil {
		k.muted = map[string]bool{}
	}
	k.muted[source] = muted
}

// want fails unless what came since the last call says so.
func (k *taker) want(t *testing.T, what, words string) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if got := strings.Join(k.words, " "); got != words {
		t.Errorf("%s: got %q, want %q", what, got, words)
	}
	k.words = nil
}

// tap hangs a tap to the rig's room, which the SFU does not know.
func (r *rig) tap(s Sink) *Tap {
	t := r.sfu.Tap(r.room.id, s)
	r.room.mu.Lock()
	defer r.room.mu.Unlock()
	t.joinLocked(r.room)
	return t
}

func TestTapTakesOnlyWhileOpen(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	a := r.join("a", usual(1))
	r.join("b", usual(1))
	a.audio("before")
	k.want(t, "shut", "")
	if !tap.Open([]string{"a", "b"}) {
		t.Fatal("did not open")
	}
	a.audio("one")
	a.video(ssrcCam, "", false, "headless")
	a.video(ssrcCam, "", true, "Key")
	a.video(ssrcCam, "", false, "delta")
	k.want(t, "open", "open +one +Key delta")
	tap.Shut()
	a.audio("not")
	a.video(ssrcCam, "", true, "Not")
	k.want(t, "shut again", "shut")
	tap.Open([]string{"a", "b"})
	a.video(ssrcCam, "", false, "delta of what was not taken")
	a.video(ssrcCam, "", true, "Key")
	k.want(t, "open again", "open +Key")
	tap.Close()
	tap.Close()
	a.audio("not")
	if tap.Open([]string{"a", "b"}) {
		t.Error("opened after the end")
	}
	k.want(t, "closed", "shut")
	if len(a.p.publications[consult.SourceCamera].taps) != 0 || len(r.room.taps) != 0 || len(r.sfu.taps) != 0 {
		t.Error("something is left of the tap")
	}
}

func TestTapShutsForNewcomers(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	a := r.join("a", usual(1))
	tap.Open([]string{"a"})
	a.audio("one")
	b := r.join("b", usual(1))
	a.audio("not")
	b.audio("not")
	k.want(t, "a newcomer", "open +one shut")
	if tap.Open([]string{"a"}) {
		t.Error("opened with a stranger in the room")
	}
	a.audio("not")
	k.want(t, "a stranger", "")
	tap.Open([]string{"a", "b"})
	b.audio("two")
	if tap.Open([]string{"a"}) {
		t.Error("stayed open with a stranger in the room")
	}
	b.audio("not")
	k.words = k.words[len(k.words)-2:]
	k.want(t, "one taken off the list", "+two shut")
	r.room.remove(b.p)
	a.audio("not")
	k.want(t, "the stranger has left", "")
	tap.Open([]string{"a", "b"})
	b = r.join("b", usual(1))
	b.audio("three")
	if !tap.open {
		t.Error("shut for somebody it is open for")
	}
	k.words = k.words[len(k.words)-1:]
	k.want(t, "somebody expected", "+three")
}

// Who comes in again under their id replaces themselves. Shut reaches the part
// that has not ended yet.
func TestTapShutReachesTheReplaced(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	old := r.join("a", usual(1))
	tap.Open([]string{"a"})
	old.audio("one")
	a := r.join("a", usual(1))
	a.audio("two")
	tap.Shut()
	old.audio("not")
	a.audio("not")
	tap.Open([]string{"a"})
	old.audio("not")
	a.audio("three")
	if got := strings.Join(k.words, " "); strings.Contains(got, "not") || !strings.Contains(got, "+two") || !strings.Contains(got, "+three") {
		t.Errorf("got %q", got)
	}
}

// What was sent before the opening is not taken when it is late, or when a later
// packet repeats it.
func TestTapLeavesWhatIsOlder(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	a := r.join("a", usual(1))
	sound := func(n uint16, text string) {
		a.send(rtpPacket(ssrcMic, ptOpus, n, uint32(n)*960, []byte("\xf8"+text)))
	}
	double := func(n uint16, old, text string) {
		a.send(rtpPacket(ssrcMic, ptRED, n, uint32(n)*960, red(960, "\xf8"+old, "\xf8"+text)))
	}
	sound(1, "before")
	sound(3, "before")
	tap.Open([]string{"a"})
	sound(2, "late")
	double(4, "before", "four")
	if k.last.Codec != "opus" {
		t.Errorf("RED that repeats what came before was taken as %s", k.last.Codec)
	}
	sound(7, "seven")
	sound(5, "five")
	double(6, "five", "six")
	k.words = k.words[1:]
	if k.last.Codec != "red" || string(k.last.Payload) != string(red(960, "\xf8five", "\xf8six")) {
		t.Errorf("RED was taken as %s %q", k.last.Codec, k.last.Payload)
	}
	k.words = k.words[:3]
	k.want(t, "sound", "+four seven five")

	frame := func(n uint16, key bool, text string) {
		a.send(rtpPacket(ssrcCam, ptVP8, n, uint32(n)*3000, append([]byte{0x10}, vp8Frame(key, text)...)))
	}
	frame(1, true, "Before")
	frame(3, false, "before")
	tap.Shut()
	tap.Open([]string{"a"})
	k.words = nil
	frame(2, true, "Late")
	frame(5, false, "overtakes") // of the key frame
	frame(4, true, "Key")
	frame(7, false, "seven")
	frame(6, false, "six")
	k.want(t, "pictures", "+Key overtakes seven six")
}

// A packet that was read before the opening and waited for the lock has come
// before it.
func TestTapGoesByTheTimeOfArrival(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	a := r.join("a", usual(1))
	read := r.now
	r.now = r.now.Add(time.Millisecond)
	tap.Open([]string{"a"})
	a.tr.receive(a.seal(rtpPacket(ssrcMic, ptOpus, 1, 960, []byte("\xf8before"))), read, r.out)
	k.want(t, "read before", "open")
	a.tr.receive(a.seal(rtpPacket(ssrcMic, ptOpus, 2, 1920, []byte("\xf8after"))), r.now, r.out)
	k.want(t, "read after", "+after")
}

func TestTapTakesTheBestLayer(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	o := usual(0)
	o.own[1].ssrcs, o.own[1].rids = nil, []string{"l", "m", "h"}
	a := r.join("a", o)
	tap.Open([]string{"a"})
	a.video(21, "l", true, "LowKey")
	a.video(21, "l", false, "low")
	a.video(23, "h", false, "headless")
	a.video(21, "l", false, "low")
	a.video(23, "h", true, "HighKey")
	if k.last.Stream.Layer != 2 || !k.last.KeyFrame {
		t.Errorf("took %+v", k.last)
	}
	a.video(21, "l", false, "not")
	a.video(23, "h", false, "high")
	k.want(t, "going up", "open +LowKey low low +HighKey high")
	r.now = r.now.Add(2 * time.Second)
	a.video(21, "l", false, "not")
	a.video(21, "l", true, "LowKey")
	k.want(t, "going down", "+LowKey")
}

// With nobody else watching the tap asks for its key frames itself, at the
// throttle's pace, and again after a loss.
func TestTapAsksForKeyFrames(t *testing.T) {
	r := newRig(t)
	tap := r.tap(&taker{})
	a := r.join("a", usual(0))
	a.video(ssrcCam, "", false, "delta")
	asked := func(ticks int) (n int) {
		for range ticks {
			r.tick(tick)
			a.video(ssrcCam, "", false, "delta")
			_, control := a.received()
			n += keyFrameRequests(control)
		}
		return n
	}
	if n := asked(5); n != 0 {
		t.Errorf("asked %d times while shut", n)
	}
	tap.Open([]string{"a"})
	if n := asked(10); n < 2 || n > 5 {
		t.Errorf("asked %d times within two seconds", n)
	}
	a.video(ssrcCam, "", true, "Key")
	if n := asked(10); n != 0 {
		t.Errorf("asked %d times after the key frame", n)
	}
	tap.KeyFrames()
	if n := asked(1); n != 1 {
		t.Errorf("asked %d times when told to", n)
	}
	a.video(ssrcCam, "", true, "Key")
	asked(10)
	a.seq[ssrcCam] += 3
	if n := asked(10); n < 1 || n > 3 {
		t.Errorf("asked %d times after a loss", n)
	}
	tap.Shut()
	if n := asked(10); n != 0 {
		t.Errorf("asked %d times after the end", n)
	}
}

func TestSoundIsRepairedForTheTapAlone(t *testing.T) {
	r := newRig(t)
	tap := r.tap(&taker{})
	a := r.join("a", usual(1))
	r.join("b", usual(1))
	nacked := func() (n int) {
		a.audio("one")
		a.seq[ssrcMic]++
		a.audio("three")
		a.audio("four")
		r.tick(tick)
		_, control := a.received()
		for _, c := range control {
			if n, ok := c.(*rtcp.TransportLayerNack); ok && n.MediaSSRC == ssrcMic {
				return len(n.Nacks)
			}
		}
		return 0
	}
	if nacked() != 0 {
		t.Error("asked for sound without a tap")
	}
	tap.Open([]string{"a", "b"})
	if nacked() == 0 {
		t.Error("did not ask for sound")
	}
	tap.Shut()
	if nacked() != 0 {
		t.Error("went on asking for sound")
	}
}

func TestTapTellsReportsMutingAndOrientation(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	o := usual(0)
	o.own[0].muted = true
	a := r.join("a", o)
	report := func(ssrc, rtp uint32) {
		a.rtcp(&rtcp.SenderReport{SSRC: ssrc, NTPTime: uint64(rtp) << 32, RTPTime: rtp})
	}
	a.audio("before")
	report(ssrcMic, 5)
	tap.Open([]string{"a"})
	report(ssrcMic, 6)
	a.audio("one")
	report(ssrcMic, 7)
	a.p.SetMuted(consult.SourceMicrophone, false)
	a.p.SetMuted(consult.SourceCamera, true)
	a.p.SetMuted(consult.SourceCamera, true)
	k.want(t, "reports and muting", "open microphone=muted microphone@6 +one microphone@7 microphone=on camera=muted")
	a.p.SetMuted(consult.SourceCamera, false)
	p := rtpPacket(ssrcCam, ptVP8, 1, 3000, append([]byte{0x10}, vp8Frame(true, "Key")...))
	_ = p.SetExtension(idOrientation, []byte{0x0b})
	a.send(p)
	if k.last.Orientation != 0x0b || k.last.Stream.ClockRate != 90000 || !k.last.Marker {
		t.Errorf("took %+v", k.last)
	}
	pad := &rtp.Packet{Header: rtp.Header{Version: 2, Padding: true, PaddingSize: 20, PayloadType: ptVP8, SequenceNumber: 2, Timestamp: 3000, SSRC: ssrcCam}}
	a.send(pad)
	if k.last.ExtSeq&0xffff != 2 || len(k.last.Payload) != 0 || k.last.Codec != "" || k.last.Orientation != -1 {
		t.Errorf("took %+v of padding", k.last)
	}
	tap.Shut()
	report(ssrcMic, 8)
	k.words = k.words[len(k.words)-1:]
	k.want(t, "no report after the end", "shut")
}

// Whatever others do at the time, nothing comes once Shut has returned.
func TestTapShutIsABarrier(t *testing.T) {
	r := newRig(t)
	k := &taker{}
	tap := r.tap(k)
	a := r.join("a", usual(1))
	var datagrams [][]byte
	for n := range uint16(3000) {
		datagrams = append(datagrams, append([]byte(nil), a.seal(rtpPacket(ssrcMic, ptOpus, n, uint32(n)*960, []byte("\xf8sound")))...))
	}
	var wg sync.WaitGroup
	out := newBurst(r.sfu.conn.Conn)
	wg.Go(func() {
		for _, d := range datagrams {
			a.tr.receive(d, r.now, out)
		}
		out.end()
	})
	for range 300 {
		tap.Open([]string{"a"})
		tap.Shut()
		k.mu.Lock()
		k.words = k.words[:0]
		k.open = false
		k.mu.Unlock()
	}
	wg.Wait()
	if k.stray != 0 {
		t.Errorf("%d packets after Shut had returned", k.stray)
	}
}

// A tap is there before anybody comes, and after everybody has gone.
func TestTapOutlivesTheRoom(t *testing.T) {
	s := newTestSFU(t)
	k := &taker{}
	tap := s.Tap("room", k)
	defer tap.Close()
	if !tap.Open([]string{"one", "two"}) {
		t.Fatal("did not open in an empty room")
	}
	for _, name := range []string{"one", "two"} {
		k.mu.Lock()
		k.words = nil
		k.mu.Unlock()
		c := newClient(t, s, name, 1)
		c.connected("room")
		c.play(c.mic, [][]byte{[]byte("\xf8sound " + name), []byte("\xf8more " + name)}, 20*time.Millisecond)
		c.await("the sound", func() bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			if len(k.words) == 0 {
				time.AfterFunc(10*time.Millisecond, c.cond.Broadcast)
			}
			return len(k.words) > 0
		})
		c.part.Close()
	}
	if c := newClient(t, s, "stranger", 1); c != nil {
		c.connected("room")
		k.mu.Lock()
		if k.open {
			t.Error("open for somebody else")
		}
		k.mu.Unlock()
		c.part.Close()
	}
}
