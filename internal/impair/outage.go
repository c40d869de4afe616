package impair

import "time"

// The functions below count nanoseconds from when the profile was set: a period
// is first up, then out.

func (o Outage) up() int64 { return int64(o.Every - o.For) }

// within reports whether t falls into an outage.
func (o Outage) within(t int64) bool {
	return o.For > 0 && t%int64(o.Every) >= o.up()
}

// resume is t, or the end of the outage it falls into.
func (o Outage) resume(t int64) int64 {
	if !o.within(t) {
		return t
	}
	return (t/int64(o.Every) + 1) * int64(o.Every)
}

// worked is the time before t that was no outage.
func (o Outage) worked(t int64) int64 {
	if o.For <= 0 {
		return t
	}
	return t/int64(o.Every)*o.up() + min(t%int64(o.Every), o.up())
}

// after is when work of the given length, begun at t, is done.
func (o Outage) after(t int64, work time.Duration) int64 {
	t = o.resume(t)
	if o.For <= 0 || work == 0 {
		return t + int64(work)
	}
	total := o.worked(t) + int64(work)
	periods, rest := total/o.up(), total%o.up()
	if rest == 0 { // done as the outage begins
		periods, rest = periods-1, o.up()
	}
	return periods*int64(o.Every) + rest
}
