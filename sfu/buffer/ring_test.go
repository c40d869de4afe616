package buffer

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

var t0 = time.Unix(1_700_000_000, 0)

// packet makes an RTP packet of size bytes whose payload depends on seq.
func packet(seq uint16, ts uint32, size int) []byte {
	raw := make([]byte, size)
	fill(raw, seq, ts)
	return raw
}

func fill(raw []byte, seq uint16, ts uint32) {
	raw[0], raw[1] = 0x80, 96
	binary.BigEndian.PutUint16(raw[2:], seq)
	binary.BigEndian.PutUint32(raw[4:], ts)
	for i := headerSize; i < len(raw); i++ {
		raw[i] = byte(int(seq)*7 + i)
	}
}

func insert(t *testing.T, r *Ring, seq uint16) Result {
	t.Helper()
	return r.Insert(packet(seq, uint32(seq)*3000, 100), t0)
}

func TestInsertOutcomes(t *testing.T) {
	tests := []struct {
		name   string
		before []uint16
		seq    uint16
		want   Result
	}{
		{"first", nil, 7, Result{ExtSeq: 65536 + 7, Stored: true}},
		{"next", []uint16{7}, 8, Result{ExtSeq: 65536 + 8, Stored: true}},
		{"gap", []uint16{7}, 10, Result{ExtSeq: 65536 + 10, Stored: true}},
		{"duplicate", []uint16{7}, 7, Result{ExtSeq: 65536 + 7, Duplicate: true}},
		{"old duplicate", []uint16{7, 8, 9}, 8, Result{ExtSeq: 65536 + 8, Duplicate: true}},
		{"reordered", []uint16{7, 9}, 8, Result{ExtSeq: 65536 + 8, Stored: true, Reordered: true}},
		{"before the first", []uint16{7}, 6, Result{ExtSeq: 65536 + 6, Stored: true, Reordered: true}},
		{"wrap", []uint16{65535}, 0, Result{ExtSeq: 2 * 65536, Stored: true}},
		{"wrap over a gap", []uint16{65534}, 1, Result{ExtSeq: 2*65536 + 1, Stored: true}},
		{"late over a wrap", []uint16{65534, 0}, 65535, Result{ExtSeq: 65536 + 65535, Stored: true, Reordered: true}},
		{"before the first, over a wrap", []uint16{0}, 65535, Result{ExtSeq: 65535, Stored: true, Reordered: true}},
		{"oldest remembered", []uint16{1000}, 1000 - 63, Result{ExtSeq: 65536 + 1000 - 63, Stored: true, Reordered: true}},
		{"too old", []uint16{1000}, 1000 - 64, Result{TooOld: true}},
		{"largest step", []uint16{1000}, 4000, Result{ExtSeq: 65536 + 4000, Stored: true}},
		{"jump", []uint16{1000}, 4001, Result{TooOld: true}},
		{"jump confirmed", []uint16{1000, 20000}, 20001, Result{ExtSeq: 3*65536 + 20001, Stored: true, Reset: true}},
		{"jump confirmed after a loss", []uint16{1000, 20000}, 20003, Result{ExtSeq: 3*65536 + 20003, Stored: true, Reset: true}},
		{"jump back confirmed", []uint16{30000, 100}, 101, Result{ExtSeq: 3*65536 + 101, Stored: true, Reset: true}},
		{"jump confirmed over a wrap", []uint16{30000, 65535}, 0, Result{ExtSeq: 3 * 65536, Stored: true, Reset: true}},
		{"jump not confirmed by the same", []uint16{1000, 20000}, 20000, Result{TooOld: true}},
		{"jump not confirmed elsewhere", []uint16{1000, 20000}, 40000, Result{TooOld: true}},
		{"jump forgotten", []uint16{1000, 20000, 1001}, 20001, Result{TooOld: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(Config{Packets: 64})
			for _, seq := range tt.before {
				insert(t, r, seq)
			}
			if got := insert(t, r, tt.seq); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			raw, ok := r.Get(tt.seq)
			if kept := tt.want.Stored || tt.want.Duplicate; ok != kept {
				t.Fatalf("Get found %v, want %v", ok, kept)
			}
			if ok && !bytes.Equal(raw, packet(tt.seq, uint32(tt.seq)*3000, 100)) {
				t.Error("Get returned other bytes")
			}
		})
	}
}

func TestInvalidPackets(t *testing.T) {
	r := New(Config{MaxPacket: 200})
	for name, raw := range map[string][]byte{
		"empty":    nil,
		"short":    make([]byte, 11),
		"version":  make([]byte, 50),
		"too long": packet(1, 0, 201),
	} {
		if res := r.Insert(raw, t0); res != (Result{Invalid: true}) {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if _, ok := r.Get(0); ok {
		t.Error("found a packet in an empty ring")
	}
	if r.Highest() != 0 || r.Stats().Invalid != 4 {
		t.Errorf("highest %d, stats %+v", r.Highest(), r.Stats())
	}
}

func TestRestartForgetsTheOldRun(t *testing.T) {
	r := New(Config{Packets: 64})
	for seq := uint16(100); seq < 140; seq += 2 {
		insert(t, r, seq)
	}
	if r.Missing() == 0 {
		t.Fatal("no gaps noted")
	}
	insert(t, r, 50000)
	if res := insert(t, r, 50001); !res.Reset {
		t.Fatalf("no reset: %+v", res)
	}
	if r.Missing() != 0 {
		t.Error("gaps of the old run are still waited for")
	}
	for ext := uint64(65536 + 100); ext < 65536+140; ext++ {
		if _, ok := r.At(ext); ok {
			t.Errorf("packet %d of the old run is still found", ext)
		}
	}
	if _, ok := r.Get(50001); !ok {
		t.Error("the new run is not found")
	}
}

func TestRecoveredPacketNeverStartsARun(t *testing.T) {
	r := New(Config{})
	insert(t, r, 1000)
	for seq := uint16(20000); seq < 20004; seq++ {
		if res := r.InsertRecovered(packet(seq, 0, 50), t0); !res.TooOld {
			t.Errorf("%+v", res)
		}
	}
}

func TestOldPacketsAreForgotten(t *testing.T) {
	r := New(Config{Packets: 64})
	for seq := uint16(0); seq < 1000; seq++ {
		insert(t, r, seq)
	}
	for seq := uint16(0); seq < 1000; seq++ {
		if _, ok := r.Get(seq); ok != (seq >= 1000-64) {
			t.Errorf("packet %d: found %v", seq, ok)
		}
	}
	if _, ok := r.At(r.Highest() + 1); ok {
		t.Error("found a packet not yet come")
	}
}

// TestMemoryFollowsTheRate checks that a stream takes what its rate needs, within
// the budget of a participant: 300 KiB for video, 40 KiB for audio.
func TestMemoryFollowsTheRate(t *testing.T) {
	tests := []struct {
		name   string
		cfg    Config
		size   int
		every  time.Duration
		budget int
		keeps  int // packets that must still be found
	}{
		{"idle audio", Config{Packets: 128, ClockRate: 48000}, 40, 400 * time.Millisecond, 10 << 10, 50},
		{"audio with redundancy", Config{Packets: 128, ClockRate: 48000}, 250, 20 * time.Millisecond, 40 << 10, 50},
		{"video 1.5 Mbit/s", Config{}, 1040, 5555 * time.Microsecond, 300 << 10, 180},
		{"video 150 kbit/s", Config{}, 900, 48 * time.Millisecond, 60 << 10, 20},
		{"video 8 Mbit/s", Config{}, 1200, 1200 * time.Microsecond, 300 << 10, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(tt.cfg)
			now := t0
			seq := uint16(65000)
			for range 5000 {
				r.Insert(packet(seq, 0, tt.size), now)
				seq++
				now = now.Add(tt.every)
			}
			if got := r.MemoryBytes(); got > tt.budget {
				t.Errorf("holds %d bytes, budget %d", got, tt.budget)
			}
			for i := range uint16(tt.keeps) {
				if _, ok := r.Get(seq - 1 - i); !ok {
					t.Fatalf("packet %d back is lost, memory %d", i, r.MemoryBytes())
				}
			}
		})
	}
}

// TestBurstStaysReadable checks the promise of Get: views of one burst stay whole
// even when it makes the arena grow several times.
func TestBurstStaysReadable(t *testing.T) {
	r := New(Config{})
	now := t0
	seq := uint16(0)
	for range 200 { // a slow start that fills the small arena often
		r.Insert(packet(seq, 0, 700), now)
		seq++
		now = now.Add(300 * time.Millisecond)
	}
	var views [][]byte
	first := seq
	for range 100 {
		r.Insert(packet(seq, 0, 1200), now)
		view, ok := r.Get(seq)
		if !ok {
			t.Fatal("not found right after the insert")
		}
		views = append(views, view)
		seq++
	}
	for i, view := range views {
		if !bytes.Equal(view, packet(first+uint16(i), 0, 1200)) {
			t.Errorf("view %d was overwritten", i)
		}
	}
}

func TestInsertDoesNotAllocate(t *testing.T) {
	r := New(Config{})
	raw := packet(0, 0, 1100)
	now := t0
	seq := uint16(0)
	step := func() {
		seq++
		if seq%50 == 0 {
			seq++ // a loss
		}
		fill(raw[:headerSize], seq, uint32(seq)*3000)
		now = now.Add(time.Millisecond)
		r.Insert(raw, now)
		r.Get(seq - 20)
	}
	for range 2000 {
		step() // lets the arena grow
	}
	if n := testing.AllocsPerRun(5000, step); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}
