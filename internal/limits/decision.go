package limits

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// Names of the windows, as the RateLimit fields show them.
const (
	WindowMinute     = "minute"
	WindowDay        = "day"
	WindowConcurrent = "concurrent"
)

const (
	minuteMicros = 60 * 1_000_000
	dayMicros    = 24 * 60 * minuteMicros
	// slotWait is what is advised when all slots are taken: how long a request
	// takes is not known.
	slotWait = time.Second
)

// Window is one limit and how much of it is left.
type Window struct {
	Name      string
	Limit     int
	Remaining int
	Length    time.Duration // 0 for concurrent
	// Reset is when more than Remaining is available again; zero for concurrent.
	Reset time.Time
}

// Decision is the answer about one request. Of an unlimited plan only Allowed
// is set.
type Decision struct {
	Allowed bool
	Reason  string // of a refusal: consult.ReasonRateMinute, ReasonRateDay or ReasonConcurrency
	// Limit, Remaining and Reset are those of the tightest of minute and day: the
	// one that refused, or the one with the least left. Limit 0: neither counts.
	Limit      int
	Remaining  int
	Reset      time.Time
	RetryAfter time.Duration // of a refusal: whole seconds, at least one
	Windows    []Window

	policy string
	now    time.Time // of the clock that decided
}

// The reasons of a refusal as the script says them.
const (
	refusedMinute = iota + 1
	refusedDay
	refusedConcurrency
)

// reply is what is known about a key after a decision, in microseconds of the
// clock that decided. It has the order of the script's answer.
type reply struct {
	refused    int64 // 0: let through and counted
	now        int64
	minuteUsed int64
	minuteNext int64 // when the minute has one more to give
	dayUsed    int64
	day        int64 // days since 1970
	slots      int64
}

// decide turns what is known into the answer.
func decide(p Plan, r reply) Decision {
	now := time.UnixMicro(r.now)
	d := Decision{Allowed: r.refused == 0, Windows: make([]Window, 0, 3), now: now}
	tightest := -1
	add := func(w Window, used int64, refused bool) {
		w.Remaining = max(0, w.Limit-int(used))
		d.Windows = append(d.Windows, w)
		if refused || tightest < 0 || !refusedBy(r.refused, d.Windows[tightest].Name) && w.Remaining < d.Windows[tightest].Remaining {
			tightest = len(d.Windows) - 1
		}
	}
	midnight := time.UnixMicro((r.day + 1) * dayMicros)
	if p.PerMinute > 0 {
		add(Window{Name: WindowMinute, Limit: p.PerMinute, Length: time.Minute, Reset: time.UnixMicro(r.minuteNext)},
			r.minuteUsed, r.refused == refusedMinute)
	}
	if p.PerDay > 0 {
		add(Window{Name: WindowDay, Limit: p.PerDay, Length: 24 * time.Hour, Reset: midnight},
			r.dayUsed, r.refused == refusedDay)
	}
	if tightest >= 0 {
		w := d.Windows[tightest]
		d.Limit, d.Remaining, d.Reset = w.Limit, w.Remaining, w.Reset
	}
	if p.Concurrent > 0 {
		d.Windows = append(d.Windows, Window{Name: WindowConcurrent, Limit: p.Concurrent, Remaining: max(0, p.Concurrent-int(r.slots))})
	}
	switch r.refused {
	case refusedMinute:
		d.Reason, d.RetryAfter = consult.ReasonRateMinute, wholeSeconds(time.UnixMicro(r.minuteNext).Sub(now))
	case refusedDay:
		d.Reason, d.RetryAfter = consult.ReasonRateDay, wholeSeconds(midnight.Sub(now))
	case refusedConcurrency:
		d.Reason, d.RetryAfter = consult.ReasonConcurrency, slotWait
	}
	return d
}

func refusedBy(refused int64, window string) bool {
	return refused == refusedMinute && window == WindowMinute || refused == refusedDay && window == WindowDay
}

// wholeSeconds rounds up, so that a client that waits this long is let through.
func wholeSeconds(d time.Duration) time.Duration {
	return max(time.Second, time.Duration(math.Ceil(d.Seconds()))*time.Second)
}

// unixCeil is t in Unix seconds, rounded up for the same reason.
func unixCeil(t time.Time) int64 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return s
}

// Header sets the fields of an answer, allowed or not: X-RateLimit-Limit,
// -Remaining and -Reset as documented, RateLimit-Policy and RateLimit of
// draft-ietf-httpapi-ratelimit-headers-11, and Retry-After of a refusal (RFC
// 9110 section 10.2.3). An unlimited plan has none.
func (d Decision) Header(h http.Header) {
	if d.Limit > 0 {
		h.Set("X-RateLimit-Limit", strconv.Itoa(d.Limit))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(d.Remaining))
		h.Set("X-RateLimit-Reset", strconv.FormatInt(unixCeil(d.Reset), 10))
	}
	if len(d.Windows) > 0 {
		h.Set("RateLimit-Policy", d.policy)
		h.Set("RateLimit", d.limitField())
	}
	if d.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(d.RetryAfter/time.Second), 10))
	}
}

// limitField is a structured field (RFC 9651): a list of strings with
// parameters r, what is left, and t, the seconds until there is more.
func (d Decision) limitField() string {
	b := make([]byte, 0, 80)
	for i, w := range d.Windows {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '"')
		b = append(b, w.Name...)
		b = append(b, `";r=`...)
		b = strconv.AppendInt(b, int64(w.Remaining), 10)
		if w.Length > 0 {
			b = append(b, ";t="...)
			b = strconv.AppendInt(b, int64(wholeSeconds(w.Reset.Sub(d.now))/time.Second), 10)
		}
	}
	return string(b)
}

// policyField describes a plan: q is the quota, w its window in seconds, qu the
// unit where it is not requests.
func policyField(p Plan) string {
	var b []byte
	item := func(name string, quota int, rest string) {
		if quota == 0 {
			return
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, `";q=`...)
		b = strconv.AppendInt(b, int64(quota), 10)
		b = append(b, rest...)
	}
	item(WindowMinute, p.PerMinute, ";w=60")
	item(WindowDay, p.PerDay, ";w=86400")
	item(WindowConcurrent, p.Concurrent, `;qu="concurrent-requests"`)
	return string(b)
}
