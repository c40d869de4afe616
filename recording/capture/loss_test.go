package capture

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestLateIsNotLost(t *testing.T) {
	s := &streamBook{}
	one := func(ext uint64, at time.Duration, start bool) { s.arrived(ext, ext, at, at, start) }
	one(100, 0, true)
	one(101, 20*ms, false)
	one(105, 100*ms, false)
	if s.lost() != 3 {
		t.Errorf("%d lost", s.lost())
	}
	one(103, 110*ms, false)
	one(102, 130*ms, false)
	if s.lost() != 1 || !slices.Equal(s.spans(), []span{{20 * ms, 100 * ms}}) {
		t.Errorf("%d lost: %v", s.lost(), s.spans())
	}
	one(104, 150*ms, false)
	if s.lost() != 0 || len(s.spans()) != 0 {
		t.Errorf("%d lost: %v", s.lost(), s.spans())
	}
	one(98, 160*ms, false) // overtaken by the first
	if s.lost() != 1 {
		t.Errorf("%d lost", s.lost())
	}
	one(99, 170*ms, false)
	one(500, time.Second, true) // what lies between was not to be taken
	one(502, 1040*ms, false)
	if s.lost() != 1 {
		t.Errorf("%d lost", s.lost())
	}
}

func TestMergedSpans(t *testing.T) {
	got := merge([]span{{5 * time.Second, 6 * time.Second}, {0, 20 * ms}, {50 * ms, 90 * ms}, {10 * ms, 15 * ms}})
	if want := []span{{0, 90 * ms}, {5 * time.Second, 6 * time.Second}}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	var many []span
	for i := range 5000 {
		many = append(many, span{time.Duration(i) * time.Second, time.Duration(i)*time.Second + 20*ms})
	}
	if n := len(merge(many)); n == 0 || n > mostSpans {
		t.Errorf("%d spans", n)
	}
	if merge(nil) != nil {
		t.Error("something of nothing")
	}
}

// Over any loss, reordering and dropping the count is that of a plain set.
func TestLossAgainstAModel(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		s, want := &streamBook{}, int64(0)
		ext, at := uint64(1<<16), time.Duration(0)
		for range 1 + rnd.IntN(4) { // runs
			ext += uint64(rnd.IntN(5000))
			have := map[uint64]bool{}
			var order []uint64
			for i := range 1 + rnd.IntN(3000) {
				if i == 0 || rnd.IntN(20) > 0 {
					order = append(order, ext)
				}
				ext++
			}
			for i := 1; i < len(order); i++ { // the first stays: it begins the run
				if j := 1 + max(0, i-1-rnd.IntN(1+rnd.IntN(40))); rnd.IntN(8) == 0 && j < len(order) {
					order[i], order[j] = order[j], order[i]
				}
			}
			for i := 0; i < len(order); {
				n := 1
				for rnd.IntN(3) == 0 && i+n < len(order) && order[i+n] == order[i+n-1]+1 {
					n++ // as dropped packets come, in one piece
				}
				at += 20 * ms
				s.arrived(order[i], order[i+n-1], at, at, i == 0)
				for k := range n {
					have[order[i+k]] = true
				}
				i += n
			}
			want += int64(slices.Max(order)-slices.Min(order)+1) - int64(len(have))
		}
		if s.lost() != want {
			t.Fatalf("seed %d: %d lost, want %d", seed, s.lost(), want)
		}
		for i, h := range s.holes {
			if h.first > h.last || i > 0 && h.first <= s.holes[i-1].last || h.when.to < h.when.from {
				t.Fatalf("seed %d: holes %v", seed, s.holes)
			}
		}
	}
}
