package compose

import "math"

// plane is one of a picture's three.
type plane struct {
	w, h, stride int
	b            []byte
}

// picture is planar YUV with half the colour in both directions (4:2:0).
type picture [3]plane

func halves(n int) int { return (n + 1) / 2 }

// over lays a picture of w by h pixels over b, which has pictureBytes of it.
func over(b []byte, w, h int) picture {
	var p picture
	for i := range p {
		if i == 1 {
			w, h = halves(w), halves(h)
		}
		p[i] = plane{w, h, w, b[:w*h]}
		b = b[w*h:]
	}
	return p
}

func pictureBytes(w, h int) int { return w*h + 2*halves(w)*halves(h) }

// part is a view of the picture; x, y, w and h are even.
func (p picture) part(r rect) picture {
	for i := range p {
		if i == 1 {
			r = rect{r.x / 2, r.y / 2, r.w / 2, r.h / 2}
		}
		q := &p[i]
		q.b = q.b[r.y*q.stride+r.x:]
		q.w, q.h = r.w, r.h
	}
	return p
}

// fill paints a picture in one colour.
func (p picture) fill(yuv [3]byte) {
	for i, q := range p {
		for y := range q.h {
			row := q.b[y*q.stride : y*q.stride+q.w]
			for x := range row {
				row[x] = yuv[i]
			}
		}
	}
}

// turned rotates clockwise by quarter turns after a flip, as 3GPP TS 26.114 codes
// it, into scratch.
func (p picture) turned(orient int8, scratch []byte) (picture, []byte) {
	turns, flip := int(orient)&3, orient&4 != 0
	if orient < 0 || (turns == 0 && !flip) {
		return p, scratch
	}
	w, h := p[0].w, p[0].h
	if turns&1 == 1 {
		w, h = h, w
	}
	if n := pictureBytes(w, h); cap(scratch) < n {
		scratch = make([]byte, n)
	}
	out := over(scratch[:cap(scratch)], w, h)
	for i := range p {
		turnPlane(p[i], out[i], turns, flip)
	}
	return out, scratch
}

func turnPlane(src, dst plane, turns int, flip bool) {
	for y := range src.h {
		row := src.b[y*src.stride : y*src.stride+src.w]
		for x, v := range row {
			if flip {
				x = src.w - 1 - x
			}
			dx, dy := x, y
			switch turns {
			case 1:
				dx, dy = src.h-1-y, x
			case 2:
				dx, dy = src.w-1-x, src.h-1-y
			case 3:
				dx, dy = y, src.w-1-x
			}
			dst.b[dy*dst.stride+dx] = v
		}
	}
}

// taps say of which sources a pixel is made: weights, of 1<<tapBits together, of
// those from first on.
type taps struct {
	first   int
	weights []int32
}

const tapBits = 12

// resample makes the taps of a triangle filter: linear when it enlarges, an
// average over what falls together when it shrinks.
func resample(src, dst int) []taps {
	out := make([]taps, dst)
	scale := float64(src) / float64(dst)
	reach := max(1, scale)
	for i := range out {
		centre := (float64(i)+0.5)*scale - 0.5
		lo, hi := max(0, int(math.Floor(centre-reach))+1), min(src-1, int(math.Ceil(centre+reach))-1)
		w := make([]float64, hi-lo+1)
		sum := 0.0
		for k := range w {
			w[k] = 1 - math.Abs(float64(lo+k)-centre)/reach
			sum += w[k]
		}
		t := taps{first: lo, weights: make([]int32, len(w))}
		rest := int32(1 << tapBits)
		for k := range w {
			t.weights[k] = int32(w[k] / sum * (1 << tapBits))
			rest -= t.weights[k]
		}
		t.weights[len(w)/2] += rest
		out[i] = t
	}
	return out
}

// scaler scales pictures and keeps what it has calculated.
type scaler struct {
	known map[[2]int][]taps
	rows  []byte
}

func (s *scaler) taps(src, dst int) []taps {
	key := [2]int{src, dst}
	t := s.known[key]
	if t == nil {
		if s.known == nil || len(s.known) > 256 {
			s.known = map[[2]int][]taps{}
		}
		t = resample(src, dst)
		s.known[key] = t
	}
	return t
}

// draw scales src into the middle of dst, as large as it fits, and paints the
// rest.
func (s *scaler) draw(dst, src picture, rest [3]byte) {
	w, h := within(src[0].w, src[0].h, dst[0].w, dst[0].h)
	if w != dst[0].w || h != dst[0].h {
		dst.fill(rest)
		dst = dst.part(rect{even((dst[0].w - w) / 2), even((dst[0].h - h) / 2), w, h})
	}
	for i := range src {
		s.plane(dst[i], src[i])
	}
}

// within is the largest even size within w by h that has the shape of sw by sh.
func within(sw, sh, w, h int) (int, int) {
	if sw*h > w*sh {
		h = (sh*w + sw/2) / sw
	} else {
		w = (sw*h + sh/2) / sh
	}
	return max(2, even(w)), max(2, even(h))
}

func (s *scaler) plane(dst, src plane) {
	if dst.w == src.w && dst.h == src.h {
		for y := range dst.h {
			copy(dst.b[y*dst.stride:y*dst.stride+dst.w], src.b[y*src.stride:])
		}
		return
	}
	across, down := s.taps(src.w, dst.w), s.taps(src.h, dst.h)
	if n := dst.w * src.h; cap(s.rows) < n {
		s.rows = make([]byte, n)
	}
	rows := s.rows[:dst.w*src.h]
	for y := range src.h {
		in := src.b[y*src.stride : y*src.stride+src.w]
		out := rows[y*dst.w : (y+1)*dst.w]
		for x := range out {
			t := &across[x]
			sum := int32(1 << (tapBits - 1))
			for k, c := range in[t.first : t.first+len(t.weights)] {
				sum += int32(c) * t.weights[k]
			}
			out[x] = byte(sum >> tapBits)
		}
	}
	sums := make([]int32, dst.w)
	for y := range dst.h {
		t := &down[y]
		for x := range sums {
			sums[x] = 1 << (tapBits - 1)
		}
		for k, weight := range t.weights {
			in := rows[(t.first+k)*dst.w : (t.first+k+1)*dst.w]
			for x, c := range in {
				sums[x] += int32(c) * weight
			}
		}
		out := dst.b[y*dst.stride : y*dst.stride+dst.w]
		for x := range out {
			out[x] = byte(sums[x] >> tapBits)
		}
	}
}
