package places

import "math"

// coastKm is how far off the nearest border a place may lie and still count as
// the country's: boats near the coast, piers, and gaps between two countries'
// own ideas of their border.
const coastKm = 25

// At is the country whose emergency numbers apply at a place: an ISO 3166-1
// alpha-2 code. Territories with a code of their own answer with it (Réunion is
// RE, Hong Kong HK, Puerto Rico PR). Kosovo is XK, and disputed areas without a
// code that all would use have one of the range that ISO leaves to its users: XC
// for Crimea, XN for the north of Cyprus, XB for Bir Tawil. No code says whose
// the land is; it says which directory entry to look at for who answers there.
//
// ok is false where there is no country, as on the high seas. The error is a
// *CoordinateError.
func At(lat, lng float64) (country string, ok bool, err error) {
	if err := Check(lat, lng); err != nil {
		return "", false, err
	}
	a, err := world()
	if err != nil {
		return "", false, err
	}
	code := a.at(lat, lng)
	return code, code != "", nil
}

// Sovereign is the country that a territory's code belongs to: FR for RE. It is
// the code itself for everything else, and empty for a code without borders.
func Sovereign(code string) string {
	a, err := world()
	if err != nil {
		return ""
	}
	return a.sovereigns[code]
}

func (a *atlas) at(lat, lng float64) string {
	p := vertex{int32(math.Round(lng * quantum)), int32(math.Round(lat * quantum))}
	for i := range a.shapes {
		if a.shapes[i].contains(p) {
			return a.shapes[i].code
		}
	}
	return a.nearest(lat, lng)
}

// contains counts how often a ray to the east crosses the outline and the
// holes, in whole numbers, so that a point on a border that two countries share
// is in exactly one of them.
func (s *shape) contains(p vertex) bool {
	if p.x < s.minX || p.x > s.maxX || p.y < s.minY || p.y > s.maxY {
		return false
	}
	inside := false
	for _, ring := range s.rings {
		a := ring[len(ring)-1]
		for _, b := range ring {
			if (a.y > p.y) != (b.y > p.y) {
				// Which side of the edge, looking up along it.
				cross := int64(b.x-a.x)*int64(p.y-a.y) - int64(p.x-a.x)*int64(b.y-a.y)
				if (cross > 0) == (b.y > a.y) && cross != 0 {
					inside = !inside
				}
			}
			a = b
		}
	}
	return inside
}

// nearest is the country whose border is nearest within coastKm, or "".
func (a *atlas) nearest(lat, lng float64) string {
	const kmPerDegree = earthRadiusKm * math.Pi / 180
	shrink := math.Cos(lat * math.Pi / 180) // how long a degree of longitude is
	marginY := coastKm / kmPerDegree * quantum
	marginX := 2.0 * halfLng
	if shrink > marginY/marginX {
		marginX = min(marginX, marginY/shrink)
	}
	best, code := marginY, ""
	for turn := -1; turn <= 1; turn++ { // the same place one turn of the Earth on
		x, y := lng*quantum+float64(turn)*2*halfLng, lat*quantum
		if x < -halfLng-marginX || x > halfLng+marginX {
			continue
		}
		for i := range a.shapes {
			s := &a.shapes[i]
			if x < float64(s.minX)-marginX || x > float64(s.maxX)+marginX ||
				y < float64(s.minY)-best || y > float64(s.maxY)+best {
				continue
			}
			if d := s.distance(x, y, shrink, best); d < best {
				best, code = d, s.code
			}
		}
	}
	return code
}

// distance is how far a place is from the nearest edge, in steps of latitude on
// a flat map around the place, which over 25 km is as good as the globe. Edges
// further than limit to the north or south are passed over.
func (s *shape) distance(x, y, shrink, limit float64) float64 {
	best := limit
	for _, ring := range s.rings {
		a := ring[len(ring)-1]
		for _, b := range ring {
			ay, by := float64(a.y)-y, float64(b.y)-y
			if (ay <= best || by <= best) && (ay >= -best || by >= -best) {
				ax, bx := (float64(a.x)-x)*shrink, (float64(b.x)-x)*shrink
				best = min(best, toSegment(ax, ay, bx, by))
			}
			a = b
		}
	}
	return best
}

// toSegment is the distance of the origin from a segment.
func toSegment(ax, ay, bx, by float64) float64 {
	dx, dy := bx-ax, by-ay
	t := 0.0
	if l := dx*dx + dy*dy; l > 0 {
		t = min(1, max(0, -(ax*dx+ay*dy)/l))
	}
	return math.Hypot(ax+t*dx, ay+t*dy)
}
