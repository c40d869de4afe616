package buffer

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func BenchmarkInsert(b *testing.B) {
	r := New(Config{})
	raw := packet(0, 0, 1116)
	now := t0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fill(raw[:headerSize], uint16(i), uint32(i)*500)
		now = now.Add(5 * time.Millisecond)
		r.Insert(raw, now)
	}
}

func BenchmarkInsertWithLossAndNacks(b *testing.B) {
	r := New(Config{})
	raw := packet(0, 0, 1116)
	var nacks []rtcp.NackPair
	now := t0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%20 == 0 {
			continue
		}
		fill(raw[:headerSize], uint16(i), uint32(i)*500)
		now = now.Add(5 * time.Millisecond)
		r.Insert(raw, now)
		nacks = r.Nacks(nacks[:0], now, 40*time.Millisecond)
	}
}

func BenchmarkGet(b *testing.B) {
	r := New(Config{})
	for seq := range uint16(512) {
		r.Insert(packet(seq, 0, 400), t0)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Get(uint16(i) & 511)
	}
}
