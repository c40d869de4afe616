package congestion

import "time"

const (
	// headroom is the share of the target that a step up must fit into.
	headroom = 0.85
	// slack is by how much the measured rates may overshoot before a step down.
	slack = 1.03
	// upHold is how long a step up must have fitted; after one that failed it is
	// upFailed, and each further one doubles it.
	upHold    = 3 * time.Second
	upFailed  = 28 * time.Second
	upHoldMax = 2 * time.Minute
	// upTrial is how soon after a step up a step down shows that it has failed.
	upTrial = 30 * time.Second
	// upProven is how long the state must last for the hold to be halved again.
	upProven = 60 * time.Second

	redOn, redOff = 0.03, 0.01 // loss
	redKeep       = 10 * time.Second
	// redShare is the part of the target that voices with redundancy may take.
	redShare = 0.8
)

// Plan is what all slots get. Slots belongs to the Allocator until its next call.
type Plan struct {
	Slots   []Decision
	Changed bool // some Decision but its rates is another than before
	Cost    int  // of all, bit/s
	// Demand is what the target would have to be for everything that is displayed
	// to be sent at its best: for Estimator.Demand.
	Demand int
}

// Allocator divides one client's target: first every voice, then its redundancy
// if loss asks for it, then pictures. It steps down at once and up only after the
// room for it has lasted. Not safe for concurrent use; the zero value is ready.
type Allocator struct {
	slots   []slotState
	plan    []Decision
	trial   []Decision // scratch
	started bool
	budget  int // the plan was made for
	upSince time.Time
	upAt    time.Time // of the last step up
	downAt  time.Time
	hold    time.Duration
	red     bool
	redSeen time.Time // when loss last asked for redundancy
}

// slotState is what is remembered and reckoned of a slot.
type slotState struct {
	source  uint64
	visible bool
	weight  int
	top     int
	ladder  ladder
	level   int // scratch of fill
	done    bool
}

// Allocate decides for a target (bit/s), the loss seen (0 to 1) and what is shown.
func (a *Allocator) Allocate(target int, loss float64, slots []Slot, now time.Time) Plan {
	look, changed := a.look(slots)
	if a.redundancy(loss, now) {
		look = max(look, shifted)
	}
	if a.hold == 0 {
		a.hold = upHold
	}
	cost, lowered := a.recost(slots)
	changed = changed || lowered
	switch {
	case !a.started || look == renewed:
		a.started = true
		a.budget = max(min(a.budget, target), int(headroom*float64(target)))
		a.upSince = time.Time{}
	case look == shifted: // others' shares, no more in all
		a.budget = min(a.budget, target)
		if !a.red { // what redundancy took is no room found: pictures wait for it
			a.budget = max(a.budget-a.redundant(slots), 0)
		}
	case float64(cost) > slack*float64(target):
		a.budget = target
		a.down(now)
	default:
		if !a.mayRise(target, cost, slots, now) {
			return Plan{Slots: a.plan, Changed: changed, Cost: cost, Demand: a.demand(slots)}
		}
		a.budget = int(headroom * float64(target))
	}
	a.fill(a.budget, slots, a.trial)
	for i := range a.trial {
		changed = changed || !same(&a.trial[i], &a.plan[i])
	}
	copy(a.plan, a.trial)
	return Plan{Slots: a.plan, Changed: changed, Cost: total(a.plan), Demand: a.demand(slots)}
}

// news is how much of a plan is out of date.
type news uint8

const (
	nothing news = iota
	shifted      // who comes first is another, or what a voice needs
	renewed      // other sources, layers or displays
)

// look takes the slots in and reports what is new, and whether a slot has lost what
// it had with its source.
func (a *Allocator) look(slots []Slot) (found news, changed bool) {
	if len(a.slots) != len(slots) {
		found, changed = renewed, true
		for len(a.slots) < len(slots) {
			a.slots = append(a.slots, slotState{})
			a.plan, a.trial = append(a.plan, Decision{}), append(a.trial, Decision{})
		}
		a.slots, a.plan, a.trial = a.slots[:len(slots)], a.plan[:len(slots)], a.trial[:len(slots)]
	}
	for i := range slots {
		s, st := &slots[i], &a.slots[i]
		st.ladder.build(s)
		last := st.ladder.points[st.ladder.n-1]
		top := int(last.mode)<<8 | int(last.spatial)<<4 | int(last.temporal)
		weight := weigh(s)
		if st.source != s.Source {
			changed = true
			a.plan[i] = Decision{}
		}
		if st.weight != weight || s.Audio == 0 && a.plan[i].Audio != AudioOff {
			found = max(found, shifted)
		}
		if st.source != s.Source || st.visible != s.Visible || st.top != top {
			found = renewed
		}
		st.source, st.visible, st.weight, st.top = s.Source, s.Visible, weight, top
	}
	return found, changed
}

// weigh is how much more of the rate a slot may take before others get theirs.
func weigh(s *Slot) int {
	switch {
	case s.Screen:
		return 8
	case s.Speaking:
		return 2
	}
	return 1
}

// redundancy turns RED on when loss asks for it and off when it long has not, and
// reports whether it did.
func (a *Allocator) redundancy(loss float64, now time.Time) bool {
	before := a.red
	if loss >= redOn || a.red && loss > redOff {
		a.red, a.redSeen = true, now
	}
	if a.red && now.Sub(a.redSeen) > redKeep {
		a.red = false
	}
	return a.red != before
}

// redundant is what redundancy costs in the present plan.
func (a *Allocator) redundant(slots []Slot) (sum int) {
	for i := range slots {
		if a.plan[i].Audio == AudioRED {
			sum += slots[i].RED
		}
	}
	return sum
}

// recost is what the present plan costs at the present rates. What is no more to
// be had has become the next lower.
func (a *Allocator) recost(slots []Slot) (cost int, changed bool) {
	for i := range slots {
		d := &a.plan[i]
		before := *d
		p := a.slots[i].ladder.points[a.slots[i].ladder.find(d)]
		a.show(i, d, &p)
		d.Rate = p.rate
		if d.Audio != AudioOff {
			d.Rate += min(slots[i].Audio, max(d.AudioRate, thrifty))
		}
		if d.Audio == AudioRED {
			d.Rate += slots[i].RED
		}
		changed = changed || !same(&before, d)
	}
	return total(a.plan), changed
}

func (a *Allocator) show(i int, d *Decision, p *point) {
	l := &a.slots[i].ladder
	d.Video, d.Spatial, d.Temporal, d.FPS = p.mode, int(p.spatial), int(p.temporal), int(p.fps)
	d.Limited = l.n > 1 && *p != l.points[l.n-1]
}

func total(plan []Decision) (sum int) {
	for i := range plan {
		sum += plan[i].Rate
	}
	return sum
}

func same(a, b *Decision) bool {
	return a.Audio == b.Audio && a.Video == b.Video && a.Spatial == b.Spatial && a.Temporal == b.Temporal && a.FPS == b.FPS && a.Limited == b.Limited
}

// down notes a step down, and that the last step up has failed if it was just now.
func (a *Allocator) down(now time.Time) {
	if !a.upAt.IsZero() && now.Sub(a.upAt) < upTrial {
		a.hold = min(max(2*a.hold, upFailed), upHoldMax)
	}
	a.upAt, a.upSince, a.downAt = time.Time{}, time.Time{}, now
}

// mayRise reports whether more has fitted for long enough.
func (a *Allocator) mayRise(target, cost int, slots []Slot, now time.Time) bool {
	a.fill(int(headroom*float64(target)), slots, a.trial)
	if !a.better() {
		a.upSince = time.Time{}
		return false
	}
	if a.upSince.IsZero() {
		a.upSince = now
	}
	if now.Sub(a.upSince) < a.hold {
		return false
	}
	if last := a.lastStep(); !last.IsZero() && now.Sub(last) > upProven {
		a.hold = max(a.hold/2, upHold)
	}
	a.upSince, a.upAt = time.Time{}, now
	return true
}

func (a *Allocator) lastStep() time.Time {
	if a.upAt.After(a.downAt) {
		return a.upAt
	}
	return a.downAt
}

// better reports whether the trial gives some slot more and none less.
func (a *Allocator) better() bool {
	gain := false
	for i := range a.trial {
		t, p := &a.trial[i], &a.plan[i]
		l := &a.slots[i].ladder
		now, then := l.find(p), l.find(t)
		if then < now || t.Audio < p.Audio && t.Audio == AudioOff {
			return false
		}
		gain = gain || then > now || t.Audio > p.Audio
	}
	return gain
}

// fill divides a budget into plan.
func (a *Allocator) fill(budget int, slots []Slot, plan []Decision) {
	left := a.voices(budget, slots, plan)
	for i := range a.slots {
		a.slots[i].level, a.slots[i].done = 0, false
	}
	for {
		best, bestScore := -1, 0.0
		for i := range a.slots {
			st := &a.slots[i]
			if st.done || st.level+1 >= st.ladder.n {
				continue
			}
			score := float64(st.ladder.points[st.level+1].rate) / float64(st.weight)
			if best < 0 || score < bestScore {
				best, bestScore = i, score
			}
		}
		if best < 0 {
			break
		}
		st := &a.slots[best]
		step := st.ladder.points[st.level+1].rate - st.ladder.points[st.level].rate
		if step > left {
			st.done = true
			continue
		}
		left -= step
		st.level++
	}
	for i := range a.slots {
		p := a.slots[i].ladder.points[a.slots[i].level]
		a.show(i, &plan[i], &p)
		plan[i].Rate += p.rate
	}
}

// voices gives every voice its rate, the active speaker first, and redundancy
// where it fits, and returns what is left.
func (a *Allocator) voices(budget int, slots []Slot, plan []Decision) int {
	full, least, red := 0, 0, 0
	for i := range slots {
		plan[i] = Decision{}
		full += slots[i].Audio
		least += min(slots[i].Audio, thrifty)
		if slots[i].Audio > 0 {
			red += slots[i].RED
		}
	}
	left, first := budget, true
	for pass := range 2 {
		for i := range slots {
			s := &slots[i]
			if s.Audio <= 0 || s.Speaking != (pass == 0) {
				continue
			}
			rate := s.Audio
			if full > budget && rate > thrifty {
				// Voices share evenly what is above the least they need.
				rate = thrifty
				if budget > least {
					rate += int(float64(s.Audio-thrifty) * float64(budget-least) / float64(full-least))
				}
			}
			if rate > left && !first {
				continue
			}
			plan[i].Audio, plan[i].AudioRate, plan[i].Rate = AudioPlain, rate, rate
			left, first = left-rate, false
		}
	}
	if a.red && float64(full+red) <= redShare*float64(budget) {
		for i := range slots {
			if slots[i].RED > 0 && plan[i].Audio == AudioPlain {
				plan[i].Audio = AudioRED
				plan[i].Rate += slots[i].RED
				left -= slots[i].RED
			}
		}
	}
	return max(left, 0)
}

// demand is the target at which everything shown could be sent at its best.
func (a *Allocator) demand(slots []Slot) int {
	sum := 0
	for i := range slots {
		sum += slots[i].Audio
		if a.red {
			sum += slots[i].RED
		}
		l := &a.slots[i].ladder
		sum += l.points[l.n-1].rate
	}
	return int(float64(sum) / headroom * 1.02)
}
