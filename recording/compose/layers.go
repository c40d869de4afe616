package compose

import (
	"cmp"
	"slices"
	"time"
)

// standing is how long the last picture before a gap may stand.
const (
	cameraStands = 3 * time.Second
	screenStands = 12 * time.Second // nothing may be new on it for that long
)

// shot is a piece of a track that one decoder can show: one codec, one size to
// start with.
type shot struct {
	frames []frame // from a key frame on
	span           // the last picture may stand until to
}

// worth weighs a second of a layer against a second of nothing: a better layer
// counts more, but a little less of it never outweighs having a picture.
func worth(layer uint8) float64 { return 1 + 0.25*float64(min(layer, 3)) }

// choose picks of all layers' GOPs the sequence that shows most: at each key
// frame it may change to another. The GOPs are cut where the next one begins.
func choose(all []gop) []gop {
	slices.SortStableFunc(all, func(a, b gop) int {
		return cmp.Or(cmp.Compare(a.from, b.from), -cmp.Compare(a.st.layer, b.st.layer))
	})
	n := len(all)
	best := make([]float64, n+1) // of what begins with GOP i
	next := make([]int, n+1)
	for i := n - 1; i >= 0; i-- {
		g := &all[i]
		w := worth(g.st.layer)
		best[i], next[i] = w*(g.to-g.from).Seconds(), n
		for k := i + 1; k < n; k++ {
			shown := min(g.to, all[k].from) - g.from
			if v := w*shown.Seconds() + best[k]; v > best[i] || (v == best[i] && next[i] == n) {
				best[i], next[i] = v, k
			}
			if all[k].from > g.to+time.Minute { // later ones are in best[k]
				break
			}
		}
	}
	start := 0
	for i := range n {
		if best[i] > best[start] {
			start = i
		}
	}
	var out []gop
	for i := start; i < n; i = next[i] {
		g := all[i]
		if k := next[i]; k < n {
			end := slices.IndexFunc(g.frames, func(f frame) bool { return f.pts >= all[k].from })
			if end == 0 {
				continue
			}
			if end > 0 {
				g.frames = g.frames[:end]
			}
			g.to = min(g.to, all[k].from)
		}
		out = append(out, g)
	}
	return out
}

// shots joins GOPs for as long as one decoder can go on. A gap longer than
// stands ends one.
func shots(gops []gop, stands time.Duration) []shot {
	var out []shot
	for _, g := range gops {
		f := g.frames[0]
		if n := len(out); n > 0 {
			last := &out[n-1]
			end := last.frames[len(last.frames)-1].pts
			if a := last.frames[0]; a.codec == f.codec && a.size == f.size && string(a.private) == string(f.private) && f.pts < end+stands {
				last.frames = append(last.frames, g.frames...)
				last.to = g.frames[len(g.frames)-1].pts + stands
				continue
			}
			last.to = min(last.to, f.pts)
		}
		out = append(out, shot{frames: slices.Clone(g.frames), span: span{f.pts, g.frames[len(g.frames)-1].pts + stands}})
	}
	return out
}
