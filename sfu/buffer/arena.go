package buffer

import "time"

// arena is a byte ring that holds whole packets, each of them contiguous.
// Positions are absolute (they only grow); a position's place in data is its
// remainder by len(data). What lies below floor has been overwritten, so
// nobody has to be told about evictions: holding a position is enough.
//
// It starts small and doubles as long as it would otherwise overwrite bytes
// younger than window, so an idle stream stays small and a busy one keeps about
// one window of history.
type arena struct {
	data   []byte // length is a power of two
	max    int    // bound on len(data), a power of two
	window time.Duration

	end   uint64 // where the next packet goes
	floor uint64 // the lowest position that still holds its bytes

	// written tells, per eighth of data, when it was last entered.
	written [arenaBlocks]time.Duration
}

const arenaBlocks = 8

// put copies raw into the arena and returns its position. len(raw) must be at
// most half of len(data).
func (a *arena) put(raw []byte, at time.Duration) uint64 {
	n := uint64(len(raw))
	pos := a.place(n)
	for a.wouldLose(pos+n, at) && len(a.data) < a.max {
		a.grow()
		pos = a.place(n)
	}
	size := uint64(len(a.data))
	block := size / arenaBlocks
	for b := a.firstEntered(block); b*block < pos+n; b++ {
		a.written[b%arenaBlocks] = at
	}
	copy(a.data[pos&(size-1):], raw)
	a.end = pos + n
	if a.end > a.floor+size {
		a.floor = a.end - size
	}
	return pos
}

// view returns the n bytes at pos, or nil when they have been overwritten. The
// capacity is clipped so that an append cannot reach the neighbour.
func (a *arena) view(pos uint64, n int) []byte {
	if pos < a.floor {
		return nil
	}
	off := int(pos & uint64(len(a.data)-1))
	return a.data[off : off+n : off+n]
}

// forget drops everything in constant time.
func (a *arena) forget() { a.floor = a.end }

// place returns the next position where n bytes lie contiguous.
func (a *arena) place(n uint64) uint64 {
	size := uint64(len(a.data))
	off := a.end & (size - 1)
	if off+n > size {
		return a.end + size - off
	}
	return a.end
}

// firstEntered is the first block, counted from position 0, that a write at end
// enters anew.
func (a *arena) firstEntered(block uint64) uint64 { return (a.end + block - 1) / block }

// wouldLose reports whether writing up to end overwrites bytes younger than the
// window.
func (a *arena) wouldLose(end uint64, at time.Duration) bool {
	size := uint64(len(a.data))
	if end <= a.floor+size {
		return false
	}
	block := size / arenaBlocks
	for b := a.firstEntered(block); b*block < end; b++ {
		live := (b+1)*block > a.floor+size
		if live && at-a.written[b%arenaBlocks] < a.window {
			return true
		}
	}
	return false
}

// grow doubles the arena and keeps every position valid. Both laps that can hold
// live bytes move to their place modulo the new size; no packet crosses a
// multiple of the old size, so each stays contiguous.
func (a *arena) grow() {
	old, size := a.data, uint64(len(a.data))
	a.data = make([]byte, 2*size)
	lap, off := a.end/size, a.end&(size-1)
	copy(a.data[(lap&1)*size:], old[:off])
	copy(a.data[((lap+1)&1)*size+off:], old[off:])
	var written [arenaBlocks]time.Duration
	newest := (a.end - 1) / (size / arenaBlocks)
	for b := max(newest, arenaBlocks-1) - (arenaBlocks - 1); b <= newest; b++ {
		written[b/2%arenaBlocks] = a.written[b%arenaBlocks]
	}
	a.written = written
}
