package compose

import (
	"math"
	"slices"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// rect is a part of the composed picture, in even pixels.
type rect struct{ x, y, w, h int }

// tile is where somebody, or a screen, is shown.
type tile struct {
	rect
	person *person
	video  *videoTrack // nil: sound alone
	name   string
	screen bool
}

// scene is a time in which the layout stays.
type scene struct {
	span
	tiles []tile
	pause *pause
}

// scenes cuts the show wherever somebody comes or goes, a screen is shared or no
// longer, a name changes, or a pause begins or ends.
func (s *show) scenes(w, h int) []scene {
	cuts := []time.Duration{0}
	add := func(sp span) { cuts = append(cuts, sp.from, sp.to) }
	for _, p := range s.people {
		for _, sp := range p.present {
			add(sp)
		}
		for _, n := range p.names {
			cuts = append(cuts, n.at)
		}
	}
	for _, v := range s.screens() {
		for i := range v.shots {
			add(v.shots[i].span)
		}
		for _, m := range v.muted {
			cuts = append(cuts, m.at)
		}
	}
	for _, p := range s.pauses {
		add(p.span)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []scene
	for i, at := range cuts {
		to := s.length
		if i+1 < len(cuts) {
			to = min(to, cuts[i+1])
		}
		if at < 0 || at >= to {
			continue
		}
		sc := s.sceneAt(at, w, h)
		if n := len(out); n > 0 && out[n-1].pause == sc.pause && slices.Equal(out[n-1].tiles, sc.tiles) {
			out[n-1].to = to
			continue
		}
		sc.span = span{at, to}
		out = append(out, sc)
	}
	return out
}

func (s *show) screens() []*videoTrack {
	var out []*videoTrack
	for _, v := range s.video {
		if v.Source == consult.SourceScreen {
			out = append(out, v)
		}
	}
	return out
}

// sceneAt is the layout at a time.
func (s *show) sceneAt(at time.Duration, w, h int) scene {
	for i := range s.pauses {
		if s.pauses[i].has(at) {
			return scene{pause: &s.pauses[i]}
		}
	}
	var large, small []tile
	for _, v := range s.screens() {
		if v.shot(at) != nil {
			large = append(large, tile{video: v, name: valueAt(v.names, at, v.Name), screen: true})
		}
	}
	if n := len(large); n > 1 { // the newest one is large
		small = append(small, large[:n-1]...)
		large = large[n-1:]
	}
	for _, p := range s.people {
		if slices.ContainsFunc(p.present, func(sp span) bool { return sp.has(at) }) {
			small = append(small, tile{person: p, video: p.camera, name: p.nameAt(at)})
		}
	}
	return scene{tiles: arrangeTiles(large, small, w, h)}
}

func (p *person) nameAt(at time.Duration) string {
	first := ""
	if len(p.names) > 0 {
		first = p.names[0].to
	}
	return valueAt(p.names, at, first)
}

// arrangeTiles gives each its place: side by side, or beside a screen.
func arrangeTiles(large, small []tile, w, h int) []tile {
	if len(large) == 0 {
		place(small, rect{0, 0, w, h})
		return small
	}
	if len(small) == 0 {
		large[0].rect = rect{0, 0, w, h}
		return large
	}
	side := even(w / 4)
	large[0].rect = rect{0, 0, w - side, h}
	each := even(min(h/len(small), side*9/16))
	top := even((h - each*len(small)) / 2)
	for i := range small {
		small[i].rect = rect{w - side, top + i*each, side, each}
	}
	return append(large, small...)
}

// place fills a rectangle with a grid.
func place(tiles []tile, in rect) {
	n := len(tiles)
	if n == 0 {
		return
	}
	cols := int(math.Ceil(math.Sqrt(float64(n))))
	rows := (n + cols - 1) / cols
	w, h := even(in.w/cols), even(in.h/rows)
	for i := range tiles {
		row := i / cols
		inRow := min(cols, n-row*cols)
		left := even((in.w - inRow*w) / 2) // a last row that is not full is centred
		tiles[i].rect = rect{in.x + left + i%cols*w, in.y + row*h, w, h}
	}
}

func even(n int) int { return n &^ 1 }

// pieces cuts an interval.
func pieces(in span, cuts []time.Duration) []span {
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []span
	for i := 0; i+1 < len(cuts); i++ {
		if from, to := max(in.from, cuts[i]), min(in.to, cuts[i+1]); to > from {
			out = append(out, span{from, to})
		}
	}
	return out
}
