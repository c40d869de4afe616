package forward

import "time"

// KeyFrameRequest is what to send to the source.
type KeyFrameRequest uint8

// Kinds of request, from none to the strongest.
const (
	RequestNothing KeyFrameRequest = iota
	RequestPLI                     // picture loss indication, RFC 4585 section 6.3.1
	RequestFIR                     // full intra request, RFC 5104 section 4.3.1
)

const (
	defaultKeyFrameInterval = 500 * time.Millisecond
	// pliTries unanswered requests turn into the stronger kind.
	pliTries = 3
)

// KeyFrameThrottle turns any number of wishes for a key frame into few requests:
// the first at once, then at most one per interval until the key frame arrives.
// One per source (simulcast layer), owned by the source's goroutine. The zero
// value is ready.
type KeyFrameThrottle struct {
	// Interval between two requests, 500 ms if zero.
	Interval time.Duration

	wanted bool
	sent   bool // last is set
	last   time.Time
	tries  int
}

// Want notes a wish and returns what to send now.
func (t *KeyFrameThrottle) Want(now time.Time) KeyFrameRequest {
	t.wanted = true
	return t.Due(now)
}

// Due returns what to send now for wishes made earlier. Call it at the time
// Next returns, or from any timer.
func (t *KeyFrameThrottle) Due(now time.Time) KeyFrameRequest {
	if !t.wanted || t.sent && now.Sub(t.last) < t.interval() {
		return RequestNothing
	}
	t.last, t.sent = now, true
	t.tries++
	if t.tries > pliTries {
		return RequestFIR
	}
	return RequestPLI
}

// Next returns when the next request is due; ok is false when no key frame is
// waited for.
func (t *KeyFrameThrottle) Next() (at time.Time, ok bool) {
	if !t.wanted {
		return time.Time{}, false
	}
	return t.last.Add(t.interval()), true
}

// Arrived notes that a key frame has begun to arrive, which grants all wishes.
func (t *KeyFrameThrottle) Arrived() { t.wanted, t.tries = false, 0 }

func (t *KeyFrameThrottle) interval() time.Duration {
	if t.Interval > 0 {
		return t.Interval
	}
	return defaultKeyFrameInterval
}
