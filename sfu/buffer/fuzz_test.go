package buffer

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// FuzzRing drives a ring by a script of four bytes a step and compares it with
// a plain map of everything it took.
func FuzzRing(f *testing.F) {
	f.Add([]byte("\x00\x01\x40\x01\x00\x02\x40\x01\x00\x01\x40\x01"))
	f.Add([]byte("\x01\x00\xff\x00\x02\x7f\xff\x05\x00\x03\x10\x00\x03\x00\x00\xff"))
	f.Add(bytes.Repeat([]byte{0x00, 0x01, 0xff, 0x00}, 300))
	f.Add(bytes.Repeat([]byte{0x00, 0x03, 0x80, 0x02}, 100))
	f.Fuzz(func(t *testing.T, script []byte) {
		m := model{ring: New(Config{Packets: 64, MaxPacket: 600, MaxBytes: 8 << 10}), taken: map[uint64][]byte{}}
		for len(script) >= 4 {
			m.step(t, script[:4])
			script = script[4:]
		}
	})
}

type model struct {
	ring  *Ring
	taken map[uint64][]byte
	seq   uint16
	at    time.Duration
	last  uint64
	nacks []rtcp.NackPair
}

func (m *model) step(t *testing.T, op []byte) {
	m.at += time.Duration(op[3]) * ms
	now := t0.Add(m.at)
	step := int(int8(op[1]))
	if op[0]&0x10 != 0 {
		step *= 251 // jumps
	}
	m.seq += uint16(step)
	raw := packet(m.seq, uint32(m.at/ms)*90, headerSize+2*int(op[2]))
	var res Result
	if op[0]&0x01 != 0 {
		res = m.ring.InsertRecovered(raw, now)
	} else {
		res = m.ring.Insert(raw, now)
	}
	m.checkResult(t, res, raw)
	if op[0]&0x02 != 0 {
		m.ring.KeyFrame(res.ExtSeq)
	}
	m.checkNacks(t, now)
	m.checkPackets(t)
	if op[0]&0x04 != 0 {
		if rep, ok := m.ring.Report(1, now); ok {
			if _, err := rep.Marshal(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (m *model) checkResult(t *testing.T, res Result, raw []byte) {
	set := 0
	for _, b := range []bool{res.Stored, res.Duplicate, res.TooOld, res.Invalid} {
		if b {
			set++
		}
	}
	if set != 1 {
		t.Fatalf("ambiguous result %+v", res)
	}
	_, known := m.taken[res.ExtSeq]
	switch {
	case res.Stored && known:
		t.Fatalf("%d taken twice", res.ExtSeq)
	case res.Duplicate && !known:
		t.Fatalf("%d called a duplicate", res.ExtSeq)
	case res.Reset && res.ExtSeq < m.last+65536:
		t.Fatalf("reset from %d to %d", m.last, res.ExtSeq)
	}
	if res.Stored {
		if uint16(res.ExtSeq) != binary.BigEndian.Uint16(raw[2:]) {
			t.Fatalf("%d is not an extension of the number", res.ExtSeq)
		}
		m.taken[res.ExtSeq] = raw
		m.last = max(m.last, res.ExtSeq)
		if _, ok := m.ring.At(res.ExtSeq); !ok {
			t.Fatalf("packet %d is not found right after the insert", res.ExtSeq)
		}
	}
	if m.ring.Highest() != m.last {
		t.Fatalf("highest %d, want %d", m.ring.Highest(), m.last)
	}
}

func (m *model) checkNacks(t *testing.T, now time.Time) {
	m.nacks = m.ring.Nacks(m.nacks[:0], now, 30*ms)
	list := asked(m.nacks)
	for i, seq := range list {
		ext := m.last - uint64(uint16(m.last)-seq)
		if _, have := m.taken[ext]; have || m.last-ext >= 64 {
			t.Fatalf("asks for %d, highest %d, have %v", ext, m.last, have)
		}
		if i > 0 && seq == list[i-1] {
			t.Fatalf("asks twice: %v", list)
		}
	}
	if !slices.IsSorted(m.ring.missing) || len(m.ring.missing) > 32 {
		t.Fatalf("missing list %v", m.ring.missing)
	}
}

func (m *model) checkPackets(t *testing.T) {
	if m.last == 0 {
		return
	}
	for ext := m.last; ext > 0 && ext+70 > m.last; ext-- {
		if raw, ok := m.ring.At(ext); ok && !bytes.Equal(raw, m.taken[ext]) {
			t.Fatalf("packet %d is corrupt", ext)
		}
	}
	if limit := 8<<10 + 64*40 + 32*8; m.ring.MemoryBytes() > limit {
		t.Fatalf("holds %d bytes", m.ring.MemoryBytes())
	}
}
