package gate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
)

var (
	doctor  = Person{consult.Doctor, "doc_1"}
	patient = Person{consult.Patient, "pat_1"}
	helper  = Person{consult.Interpreter, "int_1"}
	camera  = Person{consult.Device, "dev_1"}
)

// call is a gate with doctor and patient who have both granted, started.
func call() *Gate {
	g := &Gate{}
	g.Enable(true)
	g.Enter("d", doctor)
	g.Enter("p", patient)
	g.Decide(doctor, consult.ConsentGranted)
	g.Decide(patient, consult.ConsentGranted)
	g.Start()
	return g
}

func TestGate(t *testing.T) {
	const granted, declined, withdrawn = consult.ConsentGranted, consult.ConsentDeclined, consult.ConsentWithdrawn
	for _, c := range []struct {
		name  string
		do    func(*Gate)
		open  bool
		waits []string
	}{
		{"all have granted", func(*Gate) {}, true, nil},
		{"not enabled", func(g *Gate) { g.Enable(false) }, false, nil},
		{"stopped", (*Gate).Stop, false, nil},
		{"started again", func(g *Gate) { g.Stop(); g.Start() }, true, nil},
		{"one declines", func(g *Gate) { g.Decide(patient, declined) }, false, []string{"p"}},
		{"one withdraws", func(g *Gate) { g.Decide(doctor, withdrawn) }, false, []string{"d"}},
		{"withdrawn and granted again", func(g *Gate) { g.Decide(patient, withdrawn); g.Decide(patient, granted) }, true, nil},
		{"a newcomer", func(g *Gate) { g.Enter("i", helper) }, false, []string{"i"}},
		{"a newcomer grants", func(g *Gate) { g.Enter("i", helper); g.Decide(helper, granted) }, true, nil},
		{"a newcomer leaves", func(g *Gate) { g.Enter("i", helper); g.Leave("i") }, true, nil},
		{"a newcomer declines and leaves", func(g *Gate) { g.Enter("i", helper); g.Decide(helper, declined); g.Leave("i") }, true, nil},
		{"a device is not asked", func(g *Gate) { g.Enter("x", camera) }, true, nil},
		{"a device alone", func(g *Gate) { g.Enter("x", camera); g.Leave("d"); g.Leave("p") }, false, nil},
		{"nobody", func(g *Gate) { g.Leave("d"); g.Leave("p") }, false, nil},
		{"one comes back as another participant", func(g *Gate) { g.Leave("p"); g.Enter("p2", patient) }, true, nil},
		{"another patient under the same participant", func(g *Gate) { g.Enter("p", Person{consult.Patient, "pat_2"}) }, false, []string{"p"}},
		{"the same subject in another role", func(g *Gate) { g.Enter("g", Person{consult.Guest, "pat_1"}) }, false, []string{"g"}},
		{"a decision of somebody absent", func(g *Gate) { g.Decide(helper, declined) }, true, nil},
	} {
		g := call()
		c.do(g)
		if g.Open() != c.open || !slices.Equal(g.WaitsFor(), c.waits) {
			t.Errorf("%s: open %v, waits for %v; want %v, %v", c.name, g.Open(), g.WaitsFor(), c.open, c.waits)
		}
	}
	var zero Gate
	zero.Enter("d", doctor)
	zero.Decide(doctor, granted)
	zero.Start()
	if zero.Open() {
		t.Error("the zero gate opens")
	}
}

func TestDevicesAreLetThrough(t *testing.T) {
	g := call()
	g.Enter("x", camera)
	if got := g.Present(); !slices.Equal(got, []string{"d", "p", "x"}) {
		t.Fatalf("present: %v", got)
	}
	if who, ok := g.Who("x"); !ok || who != camera {
		t.Fatalf("x is %v", who)
	}
	if _, ok := g.Who("nobody"); ok {
		t.Fatal("nobody is here")
	}
}

// Whatever happens in whatever order, the gate is open exactly when the rule
// says so, told from the whole history anew.
func TestGateFollowsTheRule(t *testing.T) {
	people := []Person{doctor, patient, helper, camera, {consult.Guest, "g"}, {consult.Observer, "o"}}
	decisions := []consult.ConsentDecision{consult.ConsentGranted, consult.ConsentGranted, consult.ConsentDeclined, consult.ConsentWithdrawn}
	opened := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 6))
		g := &Gate{}
		var history []string
		enabled, started := false, false
		here, said := map[string]Person{}, map[Person]consult.ConsentDecision{}
		for range 60 {
			who := people[r.IntN(len(people))]
			id := fmt.Sprint(who.Role, r.IntN(2))
			step := r.IntN(12)
			switch {
			case step < 4:
				d := decisions[r.IntN(len(decisions))]
				g.Decide(who, d)
				said[who] = d
				history = append(history, fmt.Sprint(who, d))
			case step < 6:
				g.Enter(id, who)
				here[id] = who
				history = append(history, "enter "+id)
			case step < 9:
				g.Leave(id)
				delete(here, id)
				history = append(history, "leave "+id)
			case step < 10:
				started = r.IntN(4) > 0
				if started {
					g.Start()
				} else {
					g.Stop()
				}
				history = append(history, fmt.Sprint("started ", started))
			default:
				enabled = r.IntN(6) > 0
				g.Enable(enabled)
				history = append(history, fmt.Sprint("enabled ", enabled))
			}
			people, waits := 0, 0
			for _, p := range here {
				if p.Role != consult.Device {
					people++
					if said[p] != consult.ConsentGranted {
						waits++
					}
				}
			}
			want := enabled && started && people > 0 && waits == 0
			if want {
				opened++
			}
			if g.Open() != want || len(g.WaitsFor()) != waits || len(g.Present()) != len(here) || g.Started() != started {
				t.Fatalf("seed %d: open %v, want %v after %v", seed, g.Open(), want, history)
			}
		}
	}
	if opened < 1000 {
		t.Fatalf("open only %d times: the property says little", opened)
	}
}
