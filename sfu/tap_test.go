package sfu

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

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
	text := string(bytes.TrimLeftFunc(p.Payload, func(r rune) bool { return r < 'A' || r > 'z' }))
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
