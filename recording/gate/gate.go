// Package gate decides whether a consultation may be recorded at this moment. It
// is pure: who is present, who has agreed and whether the doctor has started it
// go in, open or shut comes out. Shut is what it is in every doubt.
package gate

import (
	"slices"

	"github.com/chatmed/chatmed/internal/consult"
)

// Person is somebody who is asked, whatever page they came with: a grant is
// theirs for the whole session, over reloads, resumes and restarts.
type Person struct {
	Role    consult.Role
	Subject string
}

// Gate is the gate of one consultation. Not safe for concurrent use; the zero
// Gate is shut and empty.
type Gate struct {
	enabled bool
	started bool
	present []stay // in the order they came
	said    map[Person]consult.ConsentDecision
}

// stay is one participant who is here, or whose media may still flow.
type stay struct {
	id  string
	who Person
}

// Enable says whether the consultation may be recorded at all.
func (g *Gate) Enable(on bool) { g.enabled = on }

// Start says that the doctor wants it recorded, Stop that nobody does any more.
func (g *Gate) Start() { g.started = true }

// Stop is the opposite of Start. What people have said stays.
func (g *Gate) Stop() { g.started = false }

// Started reports whether Start was the last of the two.
func (g *Gate) Started() bool { return g.started }

// Enter says that a participant is here from now on. Who is here already stays
// where they are in the order, as the person named last.
func (g *Gate) Enter(id string, who Person) {
	for i := range g.present {
		if g.present[i].id == id {
			g.present[i].who = who
			return
		}
	}
	g.present = append(g.present, stay{id, who})
}

// Leave says that nothing of a participant can come any more.
func (g *Gate) Leave(id string) {
	g.present = slices.DeleteFunc(g.present, func(s stay) bool { return s.id == id })
}

// Decide notes what a person says. Only a grant lets them be recorded.
func (g *Gate) Decide(who Person, d consult.ConsentDecision) {
	if g.said == nil {
		g.said = map[Person]consult.ConsentDecision{}
	}
	g.said[who] = d
}

// Decision is what a person said last, "" for nothing yet.
func (g *Gate) Decision(who Person) consult.ConsentDecision { return g.said[who] }

// Who returns the person behind a participant who is here.
func (g *Gate) Who(id string) (Person, bool) {
	for _, s := range g.present {
		if s.id == id {
			return s.who, true
		}
	}
	return Person{}, false
}

// Open reports whether recording is allowed now: it is enabled and started,
// somebody is here, and everybody who is here has granted. A device is nobody.
func (g *Gate) Open() bool {
	if !g.enabled || !g.started {
		return false
	}
	people := 0
	for _, s := range g.present {
		if !s.who.Role.Recorded() {
			continue
		}
		if g.said[s.who] != consult.ConsentGranted {
			return false
		}
		people++
	}
	return people > 0
}

// WaitsFor lists the participants who are here and have not granted, in the
// order they came.
func (g *Gate) WaitsFor() []string {
	out := []string{}
	for _, s := range g.present {
		if s.who.Role.Recorded() && g.said[s.who] != consult.ConsentGranted {
			out = append(out, s.id)
		}
	}
	return out
}

// Present lists the participants who are here, devices too, in the order they
// came: those whose media an open gate lets through.
func (g *Gate) Present() []string {
	out := make([]string, 0, len(g.present))
	for _, s := range g.present {
		out = append(out, s.id)
	}
	return out
}
