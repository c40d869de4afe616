package places

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// borders.bin is "CMB1" and a DEFLATE stream: the number of polygons, and for
// each its code and its sovereign's (two letters each), the number of its
// rings, and for each ring the number of its points and the points, longitude
// and latitude in hundred-thousandths of a degree, each less the one before it.
// Numbers are varints. gen/main.go writes it.
//
//go:embed data/borders.bin
var bordersFile []byte

const (
	bordersMagic = "CMB1"

	// What a file of borders may grow to, several times what the embedded one is.
	maxBordersBytes  = 2 << 20
	maxBordersShapes = 4096
	maxShapeRings    = 256
	maxRingPoints    = 1 << 16

	quantum = 1e5 // steps a degree
	halfLng = 180 * quantum
	halfLat = 90 * quantum
)

var errBorders = errors.New("places: borders are damaged")

// atlas is decoded once and only read from then on.
type atlas struct {
	shapes     []shape // smallest first: an enclave comes before what surrounds it
	sovereigns map[string]string
}

type shape struct {
	code                   string
	minX, minY, maxX, maxY int32
	area                   float64
	rings                  [][]vertex
}

type vertex struct{ x, y int32 }

var world = sync.OnceValues(func() (*atlas, error) { return decodeBorders(bordersFile) })

// decodeBorders reads a file of borders. It never takes more memory than its
// limits allow, whatever the file says.
func decodeBorders(file []byte) (*atlas, error) {
	packed, ok := bytes.CutPrefix(file, []byte(bordersMagic))
	if !ok {
		return nil, fmt.Errorf("%w: not a file of borders", errBorders)
	}
	body, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxBordersBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBorders, err)
	}
	if len(body) > maxBordersBytes {
		return nil, fmt.Errorf("%w: too large", errBorders)
	}
	d := decoder{rest: body}
	n := d.count(maxBordersShapes)
	a := &atlas{sovereigns: make(map[string]string)}
	for range n {
		s, sovereign := d.shape()
		if d.failed {
			break
		}
		a.shapes = append(a.shapes, s)
		a.sovereigns[s.code] = sovereign
	}
	if d.failed || len(d.rest) > 0 {
		return nil, errBorders
	}
	slices.SortStableFunc(a.shapes, func(l, r shape) int {
		switch {
		case l.area < r.area:
			return -1
		case l.area > r.area:
			return 1
		}
		return strings.Compare(l.code, r.code)
	})
	return a, nil
}

// decoder reads numbers off a buffer; once it fails it only answers zeroes.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) count(limit int) int {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > uint64(limit) || v > uint64(len(d.rest)) {
		d.failed = true
		return 0
	}
	d.rest = d.rest[n:]
	return int(v)
}

// step moves a coordinate by the next number, within its half circle.
func (d *decoder) step(from, half int32) int32 {
	v, n := binary.Varint(d.rest)
	to := int64(from) + v
	if n <= 0 || v < -4*halfLng || v > 4*halfLng || to < -int64(half) || to > int64(half) {
		d.failed = true
		return 0
	}
	d.rest = d.rest[n:]
	return int32(to)
}

func (d *decoder) code() string {
	if len(d.rest) < 2 || !isCode(string(d.rest[:2])) {
		d.failed = true
		return ""
	}
	code := string(d.rest[:2])
	d.rest = d.rest[2:]
	return code
}

func isCode(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

func (d *decoder) shape() (shape, string) {
	s := shape{code: d.code(), minX: halfLng, minY: halfLat, maxX: -halfLng, maxY: -halfLat}
	sovereign := d.code()
	for range d.count(maxShapeRings) {
		n := d.count(maxRingPoints)
		if d.failed || n < 3 {
			d.failed = true
			break
		}
		ring := make([]vertex, n)
		var at vertex
		for i := range ring {
			at = vertex{d.step(at.x, halfLng), d.step(at.y, halfLat)}
			if d.failed {
				return s, sovereign
			}
			ring[i] = at
			s.minX, s.maxX = min(s.minX, at.x), max(s.maxX, at.x)
			s.minY, s.maxY = min(s.minY, at.y), max(s.maxY, at.y)
		}
		s.rings = append(s.rings, ring)
	}
	if len(s.rings) == 0 {
		d.failed = true
		return s, sovereign
	}
	s.area = ringArea(s.rings[0])
	return s, sovereign
}

// ringArea is in square steps: it only orders shapes by size.
func ringArea(ring []vertex) float64 {
	var sum float64
	last := ring[len(ring)-1]
	for _, v := range ring {
		sum += float64(last.x)*float64(v.y) - float64(v.x)*float64(last.y)
		last = v
	}
	return max(sum, -sum) / 2
}
