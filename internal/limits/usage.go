package limits

// tally is a count that belongs to one day.
type tally struct {
	day int64 // days since 1970
	n   int64
}

// add joins o. Of two days the later one stays: the earlier is over.
func (t *tally) add(o tally) {
	switch {
	case o.n == 0 || o.day < t.day && t.n > 0:
	case o.day == t.day:
		t.n += o.n
	default:
		*t = o
	}
}

// usage is what this node knows of one key. Guarded by Limiter.mu.
type usage struct {
	names    []string // the key's names in Redis; never changed
	minute   ring     // when this node let requests through, its own clock
	seen     tally    // the highest count of a day that the decider gave
	debt     tally    // let through without Redis and not yet counted there
	held     int      // permits given and not released
	inFlight int      // calls to Redis under way
	touched  int64    // microseconds
}

// newUsage names the key's data in Redis. The hash tag keeps it on one node of
// a Redis Cluster.
func newUsage(keyID string) *usage {
	base := "limits:{" + keyID + "}:"
	return &usage{names: []string{base + "minute", base + "day", base + "slots"}}
}

func dayOf(micros int64) int64 { return micros / dayMicros }

// learn takes over what Redis said about the day.
func (u *usage) learn(day, used int64) {
	if day > u.seen.day || day == u.seen.day && used > u.seen.n {
		u.seen = tally{day, used}
	}
}

// of is the count of that day.
func (t tally) of(day int64) int64 {
	if t.day != day {
		return 0
	}
	return t.n
}

// admit decides without Redis. What is let through is the caller's to count.
func (u *usage) admit(p Plan, now int64) reply {
	u.minute.drop(now)
	today := dayOf(now)
	r := reply{
		now: now, minuteUsed: int64(u.minute.n), minuteNext: now + minuteMicros,
		dayUsed: u.seen.of(today) + u.debt.of(today), day: today, slots: int64(u.held),
	}
	switch {
	case p.PerDay > 0 && r.dayUsed >= int64(p.PerDay):
		r.refused = refusedDay
	case p.PerMinute > 0 && r.minuteUsed >= int64(p.PerMinute):
		r.refused = refusedMinute
	case p.Concurrent > 0 && u.held >= p.Concurrent:
		r.refused = refusedConcurrency
	default:
		r.minuteUsed, r.dayUsed, r.slots = r.minuteUsed+1, r.dayUsed+1, r.slots+1
	}
	if u.minute.n > 0 {
		// With a limit that was lowered, more than it may be in the log.
		r.minuteNext = u.minute.at(max(0, u.minute.n-max(p.PerMinute, 1))) + minuteMicros
	}
	return r
}

// note remembers that a request was let through.
func (u *usage) note(now int64, perMinute int) {
	if perMinute > 0 {
		u.minute.drop(now)
		u.minute.push(now, perMinute)
	}
}

// ring holds the times of the last minute, oldest first.
type ring struct {
	times []int64
	head  int
	n     int
}

func (r *ring) at(i int) int64 { return r.times[(r.head+i)%len(r.times)] }

// drop forgets what is a minute old, and everything if the clock went back.
func (r *ring) drop(now int64) {
	if r.n > 0 && r.at(r.n-1) > now+minuteMicros {
		r.n = 0
	}
	for r.n > 0 && r.at(0) <= now-minuteMicros {
		r.head = (r.head + 1) % len(r.times)
		r.n--
	}
}

// push adds a time and keeps the newest most.
func (r *ring) push(now int64, most int) {
	if r.n >= most {
		r.head = (r.head + 1) % len(r.times)
		r.n--
	}
	if r.n == len(r.times) {
		grown := make([]int64, max(8, min(2*r.n, most)))
		for i := range r.n {
			grown[i] = r.at(i)
		}
		r.times, r.head = grown, 0
	}
	r.times[(r.head+r.n)%len(r.times)] = now
	r.n++
}
