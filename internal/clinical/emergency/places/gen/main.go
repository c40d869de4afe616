//go:build ignore

// Command gen packs the borders of the npm package @rapideditor/country-coder
// (src/data/borders.json, ISC) into the binary form that package places embeds.
//
//	npm pack @rapideditor/country-coder && tar xzf rapideditor-country-coder-*.tgz
//	go run gen/main.go package/src/data/borders.json data/borders.bin
//
// What is changed: features without a shape are dropped; a part of a country
// goes under the country's own ISO 3166-1 code (England becomes GB, the
// Canaries ES, Svalbard SJ); disputed areas whose code in the source takes a
// side, or that have none, get one of the codes that ISO 3166-1 leaves to its
// users (see areas), and Western Sahara is EH on both sides of its berm. The
// coordinates are kept as they are: the source has five decimals, so
// hundred-thousandths of a degree lose nothing.
package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"slices"
	"strings"
)

// areas are the disputed shapes, by Wikidata item: the code says who answers
// the telephone there, not whose the land is.
var areas = map[string]string{
	"Q7835":   "XC", // Crimea
	"Q23681":  "XN", // the north of Cyprus
	"Q620634": "XB", // Bir Tawil: nobody answers there

	// The two base areas on Cyprus are on the island's telephone network.
	"Q9143535": "CY", "Q9206745": "CY",
}

type feature struct {
	Properties struct {
		Wikidata string   `json:"wikidata"`
		ISO      string   `json:"iso1A2"`
		Status   string   `json:"isoStatus"`
		Country  string   `json:"country"`
		Groups   []string `json:"groups"`
		Name     string   `json:"nameEn"`
	} `json:"properties"`
	Geometry *struct {
		Coordinates [][][][2]float64 `json:"coordinates"`
	} `json:"geometry"`
}

// shape is one polygon of a code: its outline and its holes.
type shape struct {
	code, sovereign string
	rings           [][][2]int64
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: gen borders.json borders.bin")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var doc struct {
		Features []feature `json:"features"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	official := map[string]bool{"XK": true} // user-assigned, and in use everywhere
	for _, f := range doc.Features {
		p := f.Properties
		if len(p.ISO) == 2 && p.Status == "" {
			official[p.ISO] = true
		}
	}
	var shapes []shape
	for _, f := range doc.Features {
		if f.Geometry == nil {
			continue
		}
		code, err := codeOf(f, official)
		if err != nil {
			return err
		}
		sovereign := f.Properties.Country
		if sovereign == "" || code[0] == 'X' {
			sovereign = code
		}
		for _, polygon := range f.Geometry.Coordinates {
			rings := quantise(polygon)
			if code == "MA" { // which the source has reach to the berm of Western Sahara
				south := cut(rings, saharaNorth, false)
				shapes = append(shapes, shape{"EH", "EH", south})
				rings = cut(rings, saharaNorth, true)
			}
			shapes = append(shapes, shape{code, sovereign, rings})
		}
	}
	slices.SortStableFunc(shapes, func(a, b shape) int { return strings.Compare(a.code, b.code) })
	packed, err := pack(shapes)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d polygons, %d bytes\n", len(shapes), len(packed))
	return os.WriteFile(to, packed, 0o644)
}

// codeOf is the narrowest ISO 3166-1 code that a feature lies in.
func codeOf(f feature, official map[string]bool) (string, error) {
	p := f.Properties
	if code, ok := areas[p.Wikidata]; ok {
		return code, nil
	}
	if official[p.ISO] {
		return p.ISO, nil
	}
	for _, g := range p.Groups {
		if official[g] {
			return g, nil
		}
	}
	if official[p.Country] {
		return p.Country, nil
	}
	return "", fmt.Errorf("%s (%s) has no country", p.Name, p.Wikidata)
}

// saharaNorth is the parallel of 27°40' north, the northern edge of Western
// Sahara; all of Morocco's undisputed territory lies above it.
const saharaNorth = 2766667

// cut keeps the part of a polygon that lies on one side of a parallel
// (Sutherland and Hodgman), and the holes of the northern part.
func cut(rings [][][2]int64, lat int64, north bool) [][][2]int64 {
	ring := rings[0]
	keep := func(c [2]int64) bool { return (c[1] >= lat) == north }
	var out [][2]int64
	a := ring[len(ring)-1]
	for _, b := range ring {
		if keep(a) != keep(b) {
			t := float64(lat-a[1]) / float64(b[1]-a[1])
			out = append(out, [2]int64{a[0] + int64(math.Round(t*float64(b[0]-a[0]))), lat})
		}
		if keep(b) {
			out = append(out, b)
		}
		a = b
	}
	if north {
		return append([][][2]int64{out}, rings[1:]...)
	}
	return [][][2]int64{out}
}

func quantise(polygon [][][2]float64) [][][2]int64 {
	var rings [][][2]int64
	for _, ring := range polygon {
		var out [][2]int64
		for _, c := range ring {
			out = append(out, [2]int64{int64(math.Round(c[0] * 1e5)), int64(math.Round(c[1] * 1e5))})
		}
		if len(out) > 1 && out[0] == out[len(out)-1] {
			out = out[:len(out)-1] // a ring is closed by definition
		}
		rings = append(rings, out)
	}
	return rings
}

// pack writes the form that borders.go documents and reads.
func pack(shapes []shape) ([]byte, error) {
	var body []byte
	body = binary.AppendUvarint(body, uint64(len(shapes)))
	for _, s := range shapes {
		body = append(body, s.code...)
		body = append(body, s.sovereign...)
		body = binary.AppendUvarint(body, uint64(len(s.rings)))
		for _, r := range s.rings {
			body = binary.AppendUvarint(body, uint64(len(r)))
			var x, y int64
			for _, c := range r {
				body = binary.AppendVarint(body, c[0]-x)
				body = binary.AppendVarint(body, c[1]-y)
				x, y = c[0], c[1]
			}
		}
	}
	var out bytes.Buffer
	out.WriteString("CMB1")
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
