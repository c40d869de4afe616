package sfu_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/recording/capture"
	"github.com/chatmed/chatmed/recording/journal"
	"github.com/chatmed/chatmed/sfu"
)

const (
	proofStep  = 20 * time.Millisecond
	proofSteps = 300 // below the time after which a disk counts as slow: the clock is the test's
)

// fault is what a schedule may do wrong, to show that the proof would notice.
type fault uint8

const (
	noFault       fault = iota
	deafToLeaving       // a withdrawal does not shut the tap
	lateShut            // it does so a little later
	blindToOthers       // the tap does not mind a newcomer
	openTooSoon         // the gate opens with one grant too few
	takesLate           // what is older than the opening is taken when it comes late
	losesSome           // now and then a packet is lost on the way to the disk
	repeatsOld          // redundancy of before the opening is taken
	faultsInAll
)

func (f fault) String() string {
	return [...]string{"none", "deaf to withdrawals", "late", "blind to newcomers", "too soon", "takes what is late", "loses some", "repeats what is old"}[f]
}

// sent is a numbered packet and what became of it.
type sent struct {
	who      string
	stream   string // who, source, layer, and which time they are here
	seq      int64  // never wraps
	key      bool
	sound    bool
	layered  bool
	arrived  int // count
	order    int // of the first arrival
	allowed  bool
	period   int // of the tap when it first arrived, 0 while shut
	required bool
	stale    bool // it came while the tap was open, and later ones of its stream before
}

// flight is a packet on its way.
type flight struct {
	at      int
	from    *guest
	visit   int
	again   bool // a retransmission
	deliver func()
	n       int
}

// guest is somebody who is or was in the room.
type guest struct {
	id        string
	role      consult.Role
	peer      *sfu.ProofPeer // nil while away
	visit     int
	granted   bool
	simulcast bool
	base      uint16
	aSeq      int64
	vSeq      [2]int64
	ts        uint32
	lastAudio []byte
}

// spy stands between tap and recorder, to know when the tap is open.
type spy struct {
	sfu.Sink
	s     *schedule
	count int
}

func (p *spy) Gate(open bool, at time.Time) {
	p.s.open = open
	if open {
		p.s.period++
		p.s.floors = maps.Clone(p.s.highest)
		p.s.keys = map[string]int64{}
	}
	p.Sink.Gate(open, at)
}

func (p *spy) Packet(pkt *sfu.Packet) {
	if p.count++; p.s.fault == losesSome && p.count%97 == 0 {
		return
	}
	if p.s.fault == repeatsOld && pkt.Start && p.s.before != nil && pkt.Codec == journal.Opus {
		again := *pkt
		again.Payload = slices.Concat(p.s.before, pkt.Payload)
		pkt = &again
	}
	p.Sink.Packet(pkt)
}

// schedule is one random consultation with its recording.
type schedule struct {
	rnd    *rand.Rand
	fault  fault
	room   *sfu.ProofRoom
	rec    *capture.Recorder
	clock  atomic.Int64
	people []*guest

	started bool
	late    int // steps until the gate takes notice of what has happened; 0: none to come
	step    int
	flights []flight
	packets []*sent // by number

	open    bool
	period  int
	highest map[string]int64 // that has arrived, by stream
	floors  map[string]int64 // highest at the opening
	keys    map[string]int64 // first key frame that came since, by stream
	before  []byte

	arrivals int
}

func (s *schedule) chance(p float64) bool { return s.rnd.Float64() < p }

func (s *schedule) now() time.Time { return time.Unix(0, s.clock.Load()) }

func (s *schedule) present() (out []*guest) {
	for _, g := range s.people {
		if g.peer != nil {
			out = append(out, g)
		}
	}
	return out
}

// may is the rule, by what is true at this moment.
func (s *schedule) may() bool {
	here := s.present()
	for _, g := range here {
		if g.role.Recorded() && !g.granted {
			return false
		}
	}
	return s.started && len(here) > 0
}

// decide is the caller's gate.
func (s *schedule) decide() {
	s.late = 0
	may := s.may()
	if s.fault == openTooSoon && s.started {
		missing := 0
		for _, g := range s.present() {
			if g.role.Recorded() && !g.granted {
				missing++
			}
		}
		may = missing <= 1
	}
	switch {
	case may && !s.open:
		var people []capture.Person
		for _, g := range s.present() {
			people = append(people, capture.Person{ParticipantID: g.id, Role: g.role, Name: "Name of " + g.id})
		}
		if err := s.rec.Open(people); err != nil {
			panic(err)
		}
		if s.fault == takesLate {
			s.room.ForgetFloors()
		}
	case !may && s.open:
		s.rec.Shut(consult.RecordingNoConsent)
	}
}

// event is something that people do.
func (s *schedule) event() {
	g := s.people[s.rnd.IntN(len(s.people))]
	switch k := s.rnd.IntN(10); {
	case k < 3 && g.peer == nil, k == 0: // comes, or comes again from another window
		s.join(g)
	case k == 1 && g.peer != nil:
		g.peer.Leave()
		g.peer = nil
		s.decide()
	case k < 7 && g.peer != nil && g.role.Recorded() && !g.granted:
		g.granted = true
		s.decide()
	case k == 7 && g.granted:
		s.withdraw(g)
	case k == 8 && g.peer != nil:
		g.peer.Mute([]string{consult.SourceMicrophone, consult.SourceCamera}[s.rnd.IntN(2)], s.chance(.5))
	case k == 9 && s.chance(.3):
		s.started = !s.started
		s.decide()
	}
}

func (s *schedule) join(g *guest) {
	if s.fault == blindToOthers {
		s.room.Expect(g.id)
	}
	if g.peer != nil {
		old := g.peer
		defer old.Leave()
	}
	g.visit++
	g.base, g.aSeq, g.vSeq, g.ts = uint16(s.rnd.Uint32()), 1, [2]int64{1, 1}, s.rnd.Uint32()
	g.lastAudio = nil
	g.peer = s.room.Join(g.id, g.simulcast)
	if s.late = 0; s.chance(.5) {
		s.decide()
	} else {
		s.late = 1 + s.rnd.IntN(5) // the tap has to look after itself meanwhile
	}
}

func (s *schedule) withdraw(g *guest) {
	switch s.fault {
	case deafToLeaving:
	case lateShut:
		s.late = 2
	default:
		s.rec.Shut(consult.RecordingNoConsent)
	}
	g.granted = false // and so it is told
}

// number makes the next packet's text.
func (s *schedule) number(p sent) (int, []byte) {
	s.packets = append(s.packets, &p)
	return len(s.packets) - 1, fmt.Appendf(nil, "#%08d#", len(s.packets)-1)
}

// talk has everybody present send a packet of sound and perhaps a frame.
func (s *schedule) talk() {
	for _, g := range s.present() {
		g.ts += 960
		n, text := s.number(sent{who: g.id, stream: fmt.Sprintf("%s/%d/mic", g.id, g.visit), seq: g.aSeq, sound: true})
		payload := append([]byte{0xf8}, text...)
		seq, ts, old, peer := g.base+uint16(g.aSeq), g.ts, g.lastAudio, g.peer
		if s.chance(.4) {
			old = nil
		}
		s.dispatch(g, n, func(bool) { peer.Audio(seq, ts, payload, old) })
		g.lastAudio = payload
		g.aSeq++
		if s.chance(.6) {
			s.frame(g)
		}
	}
}

// frame sends a picture of one to three packets, of each layer.
func (s *schedule) frame(g *guest) {
	layers := []int{-1}
	if g.simulcast {
		layers = []int{0, 1}
	}
	for _, layer := range layers {
		key, size := s.chance(.15), 1+s.rnd.IntN(3)
		at := max(layer, 0)
		for i := range size {
			n, text := s.number(sent{
				who: g.id, stream: fmt.Sprintf("%s/%d/cam%d", g.id, g.visit, layer), seq: g.vSeq[at], key: key && i == 0, layered: g.simulcast,
			})
			seq, ts, peer := g.base+uint16(g.vSeq[at]), g.ts*3, g.peer
			s.dispatch(g, n, func(again bool) { peer.Video(layer, seq, ts, i == 0, i == size-1, key, text, again) })
			g.vSeq[at]++
		}
	}
}

// dispatch sends a packet over a network that loses, delays, repeats.
func (s *schedule) dispatch(g *guest, n int, deliver func(again bool)) {
	add := func(after int, again bool) {
		s.flights = append(s.flights, flight{at: s.step + after, from: g, visit: g.visit, again: again, n: n, deliver: func() { deliver(again) }})
	}
	switch {
	case s.chance(.05):
		if s.chance(.6) {
			add(1+s.rnd.IntN(8), true)
		}
	case s.chance(.1):
		add(1+s.rnd.IntN(4), false)
	default:
		add(0, false)
	}
	if s.chance(.02) {
		add(s.rnd.IntN(6), true)
	}
}

// arrive brings in what is due, noting what is true at that moment.
func (s *schedule) arrive() {
	due := s.flights
	s.flights = nil
	for _, f := range due {
		if f.at > s.step {
			s.flights = append(s.flights, f)
			continue
		}
		if f.from.peer == nil || f.visit != f.from.visit {
			continue // their connection is gone
		}
		p := s.packets[f.n]
		if _, known := s.highest[p.stream]; known || !f.again || p.sound || p.layered {
			s.note(p) // otherwise nobody knows yet what is repeated (RFC 4588): as good as lost
		}
		f.deliver()
	}
}

func (s *schedule) note(p *sent) {
	if p.arrived++; p.arrived > 1 {
		return
	}
	p.allowed = s.may()
	s.arrivals++
	p.order = s.arrivals
	if s.open {
		p.period, p.stale = s.period, p.seq <= s.floors[p.stream]
		if _, ok := s.keys[p.stream]; p.key && !ok && p.seq > s.floors[p.stream] {
			s.keys[p.stream] = p.seq
			s.requireSince(p)
		}
		key, seen := s.keys[p.stream]
		p.required = p.allowed && !p.layered && p.seq > s.floors[p.stream] && (p.sound || seen && p.seq >= key)
	} else if p.sound {
		s.before = fmt.Appendf(nil, "#%08d#", slices.Index(s.packets, p))
	}
	s.highest[p.stream] = max(s.highest[p.stream], p.seq)
}

// requireSince: what overtook a key frame is to be there too.
func (s *schedule) requireSince(key *sent) {
	for i := len(s.packets) - 1; i >= 0 && i > len(s.packets)-400; i-- {
		if p := s.packets[i]; p.stream == key.stream && p.period == s.period && p.seq > key.seq {
			p.required = p.allowed && !p.layered
		}
	}
}

// run plays the schedule and returns what is wrong with the file.
func (s *schedule) run(path string, key *age.X25519Identity) (tally proofTally, wrong []string) {
	began := time.Unix(1_700_000_000, 0)
	s.clock.Store(began.UnixNano())
	s.room.Clear(began)
	s.highest = map[string]int64{}
	for i, role := range []consult.Role{consult.Doctor, consult.Patient, consult.Interpreter, consult.Guest, consult.Device} {
		s.people = append(s.people, &guest{id: fmt.Sprintf("p%d", i), role: role, simulcast: s.chance(.2)})
	}
	rec, err := capture.Start(capture.Config{
		Path: path, Header: journal.Header{RecordingID: "rec_1"}, Recipients: []age.Recipient{key.Recipient()},
		Tap:   func(sink sfu.Sink) capture.Tap { return s.room.Tap(&spy{Sink: sink, s: s}) },
		Clock: s.now,
	})
	if err != nil {
		return tally, []string{err.Error()}
	}
	s.rec = rec
	s.started = s.chance(.8)
	for _, g := range s.people[:2] {
		s.join(g)
		g.granted = s.chance(.7)
		s.decide()
	}
	for s.step = range proofSteps {
		s.clock.Add(int64(proofStep))
		s.room.Tick(proofStep)
		if s.chance(.15) {
			s.event()
		}
		if s.late--; s.late == 0 {
			s.decide()
		}
		s.talk()
		s.arrive()
		if s.chance(.1) {
			if here := s.present(); len(here) > 0 {
				here[0].peer.Report(uint64(s.step)<<32, here[0].ts)
			}
		}
	}
	sum, err := rec.Close(context.Background(), consult.RecordingStopped)
	if err != nil {
		return tally, []string{err.Error()}
	}
	return s.check(path, key, sum)
}
