package congestion

import (
	"encoding/binary"
	"testing"
	"time"
)

// steady is an estimator in use: packets each 5 ms, a feedback each 50 ms.
type steady struct {
	e   *Estimator
	f   Feedback
	raw []byte
	now time.Time
	seq uint16
	n   int64
}

func newSteady() *steady {
	s := &steady{e: New(Config{}, simStart), raw: rawFeedback(0, 10, 0), now: simStart}
	for range 2_000 {
		s.round()
	}
	return s
}

func (s *steady) round() {
	first := s.seq
	for range 10 {
		s.now = s.now.Add(5 * time.Millisecond)
		s.e.Sent(Sent{Sequence: s.seq, Size: 180, Kind: Video}, s.now)
		s.seq++
	}
	s.n++
	binary.BigEndian.PutUint16(s.raw[12:], first)
	ref := uint32(s.n * 50 / 64)
	s.raw[16], s.raw[17], s.raw[18] = byte(ref>>16), byte(ref>>8), byte(ref)
	if err := s.f.Parse(s.raw); err != nil {
		panic(err)
	}
	s.e.Feedback(&s.f, s.now)
	s.e.Tick(s.now)
	s.e.Probe(s.now)
	s.e.Estimate()
}

func TestAllocSentAndFeedback(t *testing.T) {
	s := newSteady()
	if n := testing.AllocsPerRun(500, s.round); n != 0 {
		t.Errorf("%v allocations in ten packets and a feedback", n)
	}
}

func TestAllocAllocate(t *testing.T) {
	var a Allocator
	slots := clinic(3)
	now, target := simStart, 100_000
	step := func() {
		now = now.Add(200 * time.Millisecond)
		target = (target + 70_000) % 3_000_000
		a.Allocate(target, 0.05, slots, now)
	}
	step()
	if n := testing.AllocsPerRun(500, step); n != 0 {
		t.Errorf("%v allocations in an allocation", n)
	}
}

func BenchmarkSent(b *testing.B) {
	e := New(Config{}, simStart)
	now := simStart
	for i := range b.N {
		now = now.Add(5 * time.Millisecond)
		e.Sent(Sent{Sequence: uint16(i), Size: 1000, Kind: Video}, now)
	}
}

// BenchmarkFeedback is a feedback on ten packets, with parsing, and sending them.
func BenchmarkFeedback(b *testing.B) {
	s := newSteady()
	b.ReportAllocs()
	for range b.N {
		s.round()
	}
}

func BenchmarkAllocate(b *testing.B) {
	var a Allocator
	slots := clinic(3)
	now := simStart
	b.ReportAllocs()
	for i := range b.N {
		now = now.Add(200 * time.Millisecond)
		a.Allocate(200_000+i%7*100_000, 0.02, slots, now)
	}
}
