package buffer

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

const ms = time.Millisecond

// asked returns the sequence numbers of the pairs, in order.
func asked(pairs []rtcp.NackPair) []uint16 {
	var out []uint16
	for _, p := range pairs {
		out = append(out, p.PacketList()...)
	}
	return out
}

func TestNackTiming(t *testing.T) {
	type step struct {
		at   time.Duration
		seqs []uint16 // arrive before the call
		want []uint16
	}
	tests := []struct {
		name  string
		cfg   NackConfig
		rtt   time.Duration
		steps []step
	}{
		{"nothing missing", NackConfig{}, 0, []step{{0, []uint16{1, 2, 3}, nil}}},
		{"tolerates one packet overtaking", NackConfig{}, 0, []step{{0, []uint16{1, 3}, nil}}},
		{"two packets past", NackConfig{}, 0, []step{{0, []uint16{1, 3, 4}, []uint16{2}}}},
		{"a few milliseconds past", NackConfig{}, 0, []step{{0, []uint16{1, 3}, nil}, {4 * ms, nil, nil}, {5 * ms, nil, []uint16{2}}}},
		{"arrived after all", NackConfig{}, 0, []step{{0, []uint16{1, 3}, nil}, {5 * ms, []uint16{2}, nil}}},
		{"not asked again at once", NackConfig{}, 0, []step{{0, []uint16{1, 3, 4}, []uint16{2}}, {1 * ms, []uint16{5}, nil}}},
		{"repeated after the round trip and a quarter", NackConfig{}, 40 * ms, []step{
			{0, []uint16{1, 3, 4}, []uint16{2}}, {49 * ms, nil, nil}, {50 * ms, nil, []uint16{2}},
			{124 * ms, nil, nil}, {125 * ms, nil, []uint16{2}},
		}},
		{"never faster than 20 ms", NackConfig{}, 1 * ms, []step{
			{0, []uint16{1, 3, 4}, []uint16{2}}, {19 * ms, nil, nil}, {20 * ms, nil, []uint16{2}},
		}},
		{"100 ms while the round trip is unknown", NackConfig{}, 0, []step{
			{0, []uint16{1, 3, 4}, []uint16{2}}, {99 * ms, nil, nil}, {100 * ms, nil, []uint16{2}},
		}},
		{"gives up after its tries", NackConfig{Tries: 2}, 20 * ms, []step{
			{0, []uint16{1, 3, 4}, []uint16{2}}, {25 * ms, nil, []uint16{2}}, {100 * ms, nil, nil}, {200 * ms, nil, nil},
		}},
		{"gives up at its age", NackConfig{GiveUp: 60 * ms}, 40 * ms, []step{
			{0, []uint16{1, 3, 4}, []uint16{2}}, {50 * ms, nil, []uint16{2}}, {130 * ms, nil, nil},
		}},
		{"outside the ring", NackConfig{}, 10 * ms, []step{
			{0, []uint16{1, 3, 4}, []uint16{2}}, {5 * ms, seqs(5, 65), nil}, {20 * ms, []uint16{66}, nil},
		}},
		{"over the wrap", NackConfig{}, 0, []step{{0, []uint16{65533, 2, 3, 4}, []uint16{65534, 65535, 0, 1}}}},
		{"before the first packet is nothing", NackConfig{}, 0, []step{{0, []uint16{10, 8}, nil}, {10 * ms, nil, nil}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(Config{Packets: 64, Nack: tt.cfg})
			for _, s := range tt.steps {
				for _, seq := range s.seqs {
					r.Insert(packet(seq, 0, 50), t0.Add(s.at))
				}
				if got := asked(r.Nacks(nil, t0.Add(s.at), tt.rtt)); !slices.Equal(got, s.want) {
					t.Errorf("at %v: asked for %v, want %v", s.at, got, s.want)
				}
			}
		})
	}
}

func seqs(from, to uint16) (out []uint16) {
	for s := from; s <= to; s++ {
		out = append(out, s)
	}
	return out
}

func TestNackPairs(t *testing.T) {
	r := New(Config{})
	insert(t, r, 100)
	insert(t, r, 118) // 101 to 117: one pair holds 17
	insert(t, r, 120)
	insert(t, r, 140)
	insert(t, r, 141)
	prefix := []rtcp.NackPair{{PacketID: 1}}
	got := r.Nacks(prefix, t0, 0)
	want := []rtcp.NackPair{
		{PacketID: 1},
		{PacketID: 101, LostPackets: 0xffff},
		{PacketID: 119},
	}
	// 119 stands alone up to 121..135, which lie 2 to 16 after it.
	for seq := 121; seq <= 135; seq++ {
		want[2].LostPackets |= 1 << (seq - 119 - 1)
	}
	want = append(want, rtcp.NackPair{PacketID: 136, LostPackets: 0b111})
	if !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestKeyFrameEndsTheWait(t *testing.T) {
	r := New(Config{})
	put := func(seq uint16, ts uint32) Result { return r.Insert(packet(seq, ts, 50), t0) }
	put(1, 10)
	put(3, 10)
	key := put(5, 20)
	r.KeyFrame(key.ExtSeq)
	again := put(8, 20) // a later slice of the same key frame
	r.KeyFrame(again.ExtSeq)
	put(9, 20)
	if got := asked(r.Nacks(nil, t0, 0)); !slices.Equal(got, []uint16{6, 7}) {
		t.Errorf("asked for %v", got)
	}
	if got := r.Stats().Abandoned; got != 2 {
		t.Errorf("abandoned %d", got)
	}
	r.KeyFrame(12345) // unknown
	r.KeyFrame(again.ExtSeq - 7)
	put(11, 30)
	r.KeyFrame(put(12, 30).ExtSeq)
	if got := asked(r.Nacks(nil, t0.Add(time.Second/2), 0)); len(got) != 0 {
		t.Errorf("asked for %v after the next key frame", got)
	}
}

func TestHugeGapIsNotAskedFor(t *testing.T) {
	r := New(Config{})
	insert(t, r, 1)
	insert(t, r, 3)
	insert(t, r, 2500)
	insert(t, r, 2501)
	insert(t, r, 2502)
	if got := r.Nacks(nil, t0, 0); len(got) != 0 {
		t.Errorf("asked for %v", asked(got))
	}
	if got := r.Stats().Abandoned; got != 1+2496 {
		t.Errorf("abandoned %d", got)
	}
}

func TestMissingListIsBounded(t *testing.T) {
	r := New(Config{Packets: 64})
	for seq := uint16(0); seq < 2000; seq += 3 {
		insert(t, r, seq)
		if r.Missing() > 32 {
			t.Fatalf("%d entries", r.Missing())
		}
	}
	got := asked(r.Nacks(nil, t0, 0))
	// The newest one is still given time.
	if len(got) != 31 || got[30] != 1996 {
		t.Errorf("asked for %v", got)
	}
}

func TestRecoveredCounts(t *testing.T) {
	r := New(Config{})
	insert(t, r, 1)
	insert(t, r, 4)
	insert(t, r, 5)
	r.Nacks(nil, t0, 0)
	r.InsertRecovered(packet(2, 0, 50), t0)
	insert(t, r, 3)
	if s := r.Stats(); s.Nacked != 2 || s.Recovered != 2 {
		t.Errorf("%+v", s)
	}
	if got := r.Nacks(nil, t0.Add(time.Second/2), 0); len(got) != 0 || r.Missing() != 0 {
		t.Errorf("still asks for %v", asked(got))
	}
}

func TestNacksDoNotAllocate(t *testing.T) {
	r := New(Config{})
	raw := packet(0, 0, 200)
	dst := make([]rtcp.NackPair, 0, 64)
	now := t0
	seq := uint16(0)
	step := func() {
		seq++
		if seq%7 == 0 {
			seq += 2
		}
		fill(raw[:headerSize], seq, 0)
		now = now.Add(ms)
		r.Insert(raw, now)
		dst = r.Nacks(dst[:0], now, 30*ms)
	}
	for range 2000 {
		step()
	}
	if n := testing.AllocsPerRun(5000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
