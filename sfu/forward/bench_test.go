package forward

import (
	"testing"
	"time"
)

// BenchmarkForward measures what a packet costs per subscriber: decision, numbers
// and the fixed header, without the copy of the payload.
func BenchmarkForward(b *testing.B) {
	var s Selector
	s.Want(0, AllTemporal)
	r := NewRewriter(RewriterConfig{Codec: CodecVP8})
	src := Source{ID: 1}
	payload := []byte{0x90, 0xe0, 0x81, 0x02, 0x03, 0x40, 0x00, 1, 2, 3}
	info, _ := Inspect(CodecVP8, payload)
	var h Header
	var out [12]byte
	ext := uint64(70000)
	now := t0
	b.ReportAllocs()
	for b.Loop() {
		ext++
		now = now.Add(5 * time.Millisecond)
		p := Packet{ExtSeq: ext, Timestamp: uint32(ext) * 500, Size: 1100, Info: info}
		switch s.Decide(1, 0, &p) {
		case Switch:
			r.SwitchTo(src.ID)
			r.Forward(&src, &p, now, &h)
		case Forward:
			r.Forward(&src, &p, now, &h)
		}
		h.Put(out[:], 96, 1)
	}
}

func BenchmarkInspectVP8(b *testing.B) {
	payload := []byte{0x90, 0xe0, 0x81, 0x02, 0x03, 0x40, 0x00, 1, 2, 3}
	b.ReportAllocs()
	for b.Loop() {
		Inspect(CodecVP8, payload)
	}
}

func BenchmarkLookup(b *testing.B) {
	r := NewRewriter(RewriterConfig{Codec: CodecVP8})
	r.SwitchTo(1)
	var h Header
	for i := range uint64(600) {
		r.Forward(&Source{ID: 1}, &Packet{ExtSeq: 70000 + i, Size: 100}, t0, &h)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Lookup(h.Sequence-100, t0, 0)
	}
}
