package waitingroom

import (
	"github.com/chatmed/chatmed/internal/consult"
)

// rankStep is the distance to the first place, in the unit of ranks: one second.
const rankStep = 1_000_000

// positionAmong is t's position, from 1, among others.
func positionAmong(t *consult.Ticket, others []consult.Ticket) int {
	n := 1
	for i := range others {
		if o := &others[i]; o.Rank < t.Rank || o.Rank == t.Rank && o.ID < t.ID {
			n++
		}
	}
	return n
}

// putAt gives t a rank at position, from 1, among others, which are in order; a
// position behind the end is the end. Where two neighbours leave no rank between
// them, those behind move back by as little as it takes. It reports whether t
// has moved.
func putAt(t *consult.Ticket, others []consult.Ticket, position int) bool {
	at := min(max(position, 1), len(others)+1) - 1 // how many stay in front
	if positionAmong(t, others) == at+1 {
		return false
	}
	switch at {
	case 0:
		t.Rank = others[0].Rank - rankStep
	case len(others):
		t.Rank = others[at-1].Rank + 1
	default:
		low, high := others[at-1].Rank, others[at].Rank
		t.Rank = low + max((high-low)/2, 1)
		last := t.Rank
		for i := at; i < len(others) && others[i].Rank <= last; i++ {
			last++
			others[i].Rank = last
		}
	}
	return true
}
