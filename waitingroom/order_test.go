package waitingroom

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestPutAt(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 3000 {
		n := 1 + rng.IntN(8)
		width := []int64{1, 2, 5, 1_000_000}[round%4] // from "all the same" to "much room"
		all := make([]consult.Ticket, n)
		for i := range all {
			all[i] = consult.Ticket{ID: fmt.Sprintf("wt_%d", rng.IntN(1000)*10+i), Rank: rng.Int64N(width * int64(n))}
		}
		inOrder := func(a, b consult.Ticket) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.ID, b.ID)) }
		slices.SortFunc(all, inOrder)
		from, to := rng.IntN(n), 1+rng.IntN(n+2)
		mover := all[from]
		others := slices.Delete(slices.Clone(all), from, from+1)
		want := []string{}
		for _, o := range others {
			want = append(want, o.ID)
		}
		want = slices.Insert(want, min(to, n)-1, mover.ID)
		moved := putAt(&mover, others, to)
		after := append(slices.Clone(others), mover)
		slices.SortFunc(after, inOrder)
		got := []string{}
		for _, o := range after {
			got = append(got, o.ID)
		}
		if !slices.Equal(got, want) || moved == (from+1 == min(to, n)) {
			t.Fatalf("%v: from %d to %d: %v, want %v, moved %v", all, from+1, to, got, want, moved)
		}
		if width == 1_000_000 { // with room, nobody else is touched
			for _, o := range others {
				if !slices.ContainsFunc(all, func(a consult.Ticket) bool { return a.ID == o.ID && a.Rank == o.Rank }) {
					t.Fatalf("%s was moved too", o.ID)
				}
			}
		}
	}
}
