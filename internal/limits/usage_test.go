package limits

import "testing"

func TestTallyKeepsTheLaterDay(t *testing.T) {
	for _, tt := range []struct{ a, b, want tally }{
		{tally{}, tally{5, 2}, tally{5, 2}},
		{tally{5, 2}, tally{5, 3}, tally{5, 5}},
		{tally{5, 2}, tally{6, 1}, tally{6, 1}},
		{tally{6, 1}, tally{5, 2}, tally{6, 1}},
		{tally{5, 2}, tally{}, tally{5, 2}},
		{tally{6, 0}, tally{5, 2}, tally{5, 2}},
	} {
		got := tt.a
		if got.add(tt.b); got != tt.want {
			t.Errorf("%v and %v: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
	if (tally{5, 2}).of(6) != 0 || (tally{5, 2}).of(5) != 2 {
		t.Error("of")
	}
}

// TestRing keeps the newest and forgets the old, over many turns.
func TestRing(t *testing.T) {
	var r ring
	const most = 7
	var all []int64
	for now := int64(0); now < 20*minuteMicros; now += 3_700_000 {
		r.drop(now)
		r.push(now, most)
		all = append(all, now)
		want := all[max(0, len(all)-most):]
		for len(want) > 0 && want[0] <= now-minuteMicros {
			want = want[1:]
		}
		if r.n != len(want) || len(r.times) > most+1 {
			t.Fatalf("%d times in room for %d, want %d", r.n, len(r.times), len(want))
		}
		for i := range want {
			if r.at(i) != want[i] {
				t.Fatalf("at %d: %d, want %d", i, r.at(i), want[i])
			}
		}
	}
}
