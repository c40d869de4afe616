package recording

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// Many people come, go and change their minds at the same time, while the store
// fails now and then and the doctor starts and stops: whoever has not granted, or
// has withdrawn, finds nothing open for as long as they are there.
func TestStorm(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	w := newWorld(t)
	c := w.consultation()
	people := []Person{doctor, patient, helper, person(consult.Guest, "gst_1"), person(consult.Observer, "obs_1")}
	var all sync.WaitGroup
	over := make(chan struct{})
	opened := 0
	for i, p := range people {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 6))
			for range rounds {
				w.visit(t, c, p, r)
			}
		})
	}
	var around sync.WaitGroup
	around.Go(func() {
		r := rand.New(rand.NewPCG(99, 6))
		for {
			select {
			case <-over:
				return
			default:
			}
			w.store.failChain(r.IntN(10) == 0)
			if r.IntN(6) == 0 {
				_ = w.rec.Stop(t.Context(), w.scope, c.ID, consult.System) // there may be nothing to stop
			}
			_, _ = w.rec.Start(t.Context(), w.scope, c.ID, consult.System) // the store may be down
			if w.takes.open() {
				opened++
			}
			w.clock.advance(100 * time.Millisecond)
		}
	})
	all.Wait()
	close(over)
	around.Wait()
	w.store.failChain(false)
	t.Logf("seen open %d times", opened)
	w.enter(c, doctor)
	must(t, w.say(c, doctor, granted))
	if _, err := w.rec.Start(t.Context(), w.scope, c.ID, consult.System); err != nil {
		t.Fatal(err)
	}
	w.is(c, Recording)
}

// visit is one stay of somebody, who knows best what they have said.
func (w *world) visit(t *testing.T, c *consult.Consultation, p Person, r *rand.Rand) {
	t.Helper()
	w.enter(c, p)
	defer w.rec.Leave(c.ID, p.ParticipantID)
	if w.rec.State(c.ID, p.ParticipantID).You != granted && w.takes.open() {
		t.Errorf("%s is recorded without having granted", p.Role)
	}
	for range 1 + r.IntN(4) {
		switch r.IntN(4) {
		case 0:
			_ = w.say(c, p, withdrawn) // in force, whatever is returned
			if w.takes.open() {
				t.Errorf("%s is recorded after a withdrawal", p.Role)
			}
		default:
			_ = w.say(c, p, granted) // the store may be down
		}
	}
}
