package places

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func mustSeed(t testing.TB) *Hospitals {
	t.Helper()
	h, err := Seed()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSeed(t *testing.T) {
	t.Parallel()
	h := mustSeed(t)
	if h.Len() < 150 {
		t.Errorf("%d hospitals", h.Len())
	}
	// One department for a part of a town: the seed is a sample, and the document
	// of the API chose the one for the middle of Paris (docs/clinical/places.md).
	list := h.All()
	for i, a := range list {
		for _, b := range list[i+1:] {
			if d := DistanceKm(a.Lat, a.Lng, b.Lat, b.Lng); d < 6 {
				t.Errorf("%s and %s are %.1f km apart", a.ID, b.ID, d)
			}
		}
		if prefix := strings.ToLower(a.Country) + "-"; !strings.HasPrefix(a.ID, prefix) {
			t.Errorf("%s is in %s", a.ID, a.Country)
		}
		if a.Emergency == EmergencyNo {
			t.Errorf("%s is no use", a.ID)
		}
	}
}

// The sample of the API's document: the hospital it names, at the distance that
// it really is.
func TestDocumentedSample(t *testing.T) {
	t.Parallel()
	got, ok, err := mustSeed(t).Nearest(48.8566, 2.3522)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if got.Name != "Hôpital Lariboisière" || got.Phone != "+33 1 49 95 65 65" || got.Emergency != EmergencyYes {
		t.Errorf("%+v", got)
	}
	if got.DistanceKm != 2.9 {
		t.Errorf("%v km", got.DistanceKm)
	}
}

func TestSeedNearest(t *testing.T) {
	t.Parallel()
	h := mustSeed(t)
	for _, c := range []struct {
		name     string
		lat, lng float64
		want     string // "" for none
	}{
		{"Marseille", 43.2965, 5.3698, "fr-marseille-timone"}, {"Lyon", 45.764, 4.8357, "fr-lyon-herriot"},
		{"London, Westminster", 51.4995, -0.1248, "gb-london-st-thomas"}, {"New York, Times Square", 40.758, -73.9855, "us-new-york-bellevue"},
		{"Casablanca", 33.5731, -7.5898, "ma-casablanca-rochd"}, {"Beirut", 33.8938, 35.5018, "lb-beirut-aubmc"},
		{"Hong Kong, Central", 22.2819, 114.1580, "hk-pok-fu-lam-qmh"}, {"Shenzhen, over the border", 22.5431, 114.0579, ""},
		{"Gibraltar", 36.1408, -5.3536, "gi-gibraltar-st-bernards"}, {"La Línea, over the border", 36.1640, -5.3480, ""},
		{"Kehl, over an open border", 48.5725, 7.8150, "fr-strasbourg-nhc"}, {"Windsor, over the river", 42.3, -83.03, ""},
		{"Jerusalem, west", 31.7683, 35.2137, "il-jerusalem-hadassah"}, {"Ramallah", 31.9038, 35.2034, "ps-ramallah-pmc"},
		{"Athens, which takes turns", 37.9838, 23.7275, "gr-athens-evangelismos"},
		{"Chartres, too far from any", 48.4439, 1.489, ""}, {"mid Atlantic", 35, -45, ""}, {"North Pole", 90, 0, ""}, {"South Pole", -90, 0, ""},
	} {
		got, ok, err := h.Nearest(c.lat, c.lng)
		if err != nil || ok != (c.want != "") || got.ID != c.want {
			t.Errorf("%s: %s, %v, %v, want %s", c.name, got.ID, ok, err, c.want)
		}
	}
	var wrong *CoordinateError
	if _, ok, err := h.Nearest(math.NaN(), 0); ok || !errors.As(err, &wrong) {
		t.Errorf("NaN: %v, %v", ok, err)
	}
}

func hospital(id string, lat, lng float64, e Emergency) Hospital {
	return Hospital{ID: id, Name: id, Lat: lat, Lng: lng, Emergency: e, Source: "test", Checked: "2026-11"}
}

func TestNearestPrefers(t *testing.T) {
	t.Parallel()
	const kmLat = 1 / 111.195
	at := func(km float64) float64 { return 47 + km*kmLat } // the middle of France
	for _, c := range []struct {
		name string
		list []Hospital
		want string
	}{
		{"the nearer of two that are known", []Hospital{hospital("a", at(3), 2.4, EmergencyYes), hospital("b", at(2), 2.4, EmergencyYes)}, "b"},
		{"never one that has none", []Hospital{hospital("a", at(1), 2.4, EmergencyNo), hospital("b", at(50), 2.4, EmergencyUnknown)}, "b"},
		{"nothing rather than one that has none", []Hospital{hospital("a", at(1), 2.4, EmergencyNo)}, ""},
		{"one that is known a little further", []Hospital{hospital("a", at(1), 2.4, EmergencyUnknown), hospital("b", at(10), 2.4, EmergencyYes)}, "b"},
		{"one that is unknown over one much further", []Hospital{hospital("a", at(1), 2.4, EmergencyUnknown), hospital("b", at(12), 2.4, EmergencyYes)}, "a"},
		{"unknown, and nothing else", []Hospital{hospital("a", at(1), 2.4, EmergencyUnknown)}, "a"},
		{"none beyond the radius", []Hospital{hospital("a", at(101), 2.4, EmergencyYes)}, ""},
		{"one just within", []Hospital{hospital("a", at(99), 2.4, EmergencyYes)}, "a"},
		{"the same distance: by id", []Hospital{hospital("b", at(5), 2.4, EmergencyYes), hospital("a", at(-5), 2.4, EmergencyYes)}, "a"},
	} {
		h, err := New(c.list, DefaultRadiusKm)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, ok, err := h.Nearest(47, 2.4); err != nil || got.ID != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %v, %v", c.name, got.ID, ok, err)
		}
	}
}

// The index answers what looking at every row answers: everywhere, around the
// antimeridian and the poles too.
func TestNearestAgreesWithLookingAtAll(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 7))
	kinds := []Emergency{EmergencyYes, EmergencyUnknown, EmergencyNo}
	centres := [][2]float64{{48.8, 2.3}, {-16.8, 180}, {71, 179.9}, {-89.5, 20}, {-0.3, 36.8}, {78.2, 15.6}, {36.1, -5.35}}
	var list []Hospital
	for len(list) < 900 {
		c := centres[rng.IntN(len(centres))]
		e := hospital(fmt.Sprintf("h%04d", len(list)), clampLat(c[0]+rng.NormFloat64()), wrapLng(c[1]+rng.NormFloat64()*2), kinds[rng.IntN(3)])
		if e.validate() == nil {
			list = append(list, e)
		}
	}
	h, err := New(list, DefaultRadiusKm)
	if err != nil {
		t.Fatal(err)
	}
	answered := 0
	for range 1500 {
		c := centres[rng.IntN(len(centres))]
		lat, lng := clampLat(c[0]+rng.NormFloat64()*1.5), wrapLng(c[1]+rng.NormFloat64()*3)
		got, ok, err := h.Nearest(lat, lng)
		if err != nil {
			t.Fatal(err)
		}
		want := lookAtAll(list, lat, lng, DefaultRadiusKm)
		if got.ID != want || ok != (want != "") {
			t.Fatalf("at %v, %v: %q, want %q", lat, lng, got.ID, want)
		}
		if ok {
			answered++
			if got.Emergency == EmergencyNo || got.DistanceKm > DefaultRadiusKm {
				t.Fatalf("%+v", got)
			}
		}
	}
	if answered < 500 {
		t.Errorf("only %d answers", answered)
	}
}

func clampLat(v float64) float64 { return min(90, max(-90, v)) }

func wrapLng(v float64) float64 {
	switch {
	case v > 180:
		return v - 360
	case v < -180:
		return v + 360
	}
	return v
}

func lookAtAll(list []Hospital, lat, lng, radius float64) string {
	country, _, _ := At(lat, lng)
	best := map[Emergency]Found{}
	for _, e := range list {
		d := DistanceKm(lat, lng, e.Lat, e.Lng)
		if d >= radius || !reachable(country, e.Country) {
			continue
		}
		if b, ok := best[e.Emergency]; !ok || d < b.DistanceKm {
			best[e.Emergency] = Found{e, d}
		}
	}
	yes, isYes := best[EmergencyYes]
	unknown, isUnknown := best[EmergencyUnknown]
	switch {
	case isYes && (!isUnknown || yes.DistanceKm <= unknown.DistanceKm+preferKm):
		return yes.ID
	case isUnknown:
		return unknown.ID
	}
	return ""
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := hospital("a", 48.85, 2.35, EmergencyYes)
	for name, change := range map[string]func(e *Hospital){
		"no id":               func(e *Hospital) { e.ID = "" },
		"no name":             func(e *Hospital) { e.Name = " " },
		"a line break":        func(e *Hospital) { e.Name = "a\nb" },
		"bytes":               func(e *Hospital) { e.Name = "a\xff" },
		"spaces around":       func(e *Hospital) { e.Name = " a" },
		"a very long name":    func(e *Hospital) { e.Name = strings.Repeat("é", maxTextRunes+1) },
		"no source":           func(e *Hospital) { e.Source = "" },
		"no month":            func(e *Hospital) { e.Checked = "2026" },
		"no such emergency":   func(e *Hospital) { e.Emergency = "maybe" },
		"a local number":      func(e *Hospital) { e.Phone = "01 49 95 65 65" },
		"not a number":        func(e *Hospital) { e.Phone = "+33 call me" },
		"swapped coordinates": func(e *Hospital) { e.Lat, e.Lng, e.Country = 2.35, 48.85, "FR" },
		"another country":     func(e *Hospital) { e.Country = "DE" },
		"the sea":             func(e *Hospital) { e.Lat, e.Lng = 0, 0 },
		"no latitude":         func(e *Hospital) { e.Lat = math.NaN() },
	} {
		e := good
		change(&e)
		if _, err := New([]Hospital{e}, DefaultRadiusKm); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := New([]Hospital{good, good}, DefaultRadiusKm); err == nil {
		t.Error("an id twice is taken")
	}
	for _, radius := range []float64{0, -1, MaxRadiusKm + 1, math.NaN(), math.Inf(1)} {
		if _, err := New([]Hospital{good}, radius); err == nil {
			t.Errorf("a radius of %v is taken", radius)
		}
	}
	// A sovereign's code will do for its territory, and the territory's is kept.
	reunion := hospital("r", -20.8945, 55.4495, EmergencyYes)
	reunion.Country = "FR"
	h, err := New([]Hospital{reunion}, DefaultRadiusKm)
	if err != nil || h.All()[0].Country != "RE" {
		t.Errorf("%v", err)
	}
}

func TestNearestAllocatesNothing(t *testing.T) {
	h := mustSeed(t)
	if n := testing.AllocsPerRun(100, func() {
		f, _, _ := h.Nearest(48.8566, 2.3522)
		sink = f.ID
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMutatingAnswersChangesNothing(t *testing.T) {
	t.Parallel()
	h := mustSeed(t)
	all := h.All()
	all[0].Name = "changed"
	if slices.ContainsFunc(h.All(), func(e Hospital) bool { return e.Name == "changed" }) {
		t.Error("the set was changed through a copy")
	}
}

func BenchmarkNearest(b *testing.B) {
	h := mustSeed(b)
	for _, c := range []struct {
		name     string
		lat, lng float64
	}{{"Paris", 48.8566, 2.3522}, {"Sea", 35, -45}, {"Pole", -90, 0}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, _, _ := h.Nearest(c.lat, c.lng)
				sink = f.ID
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var list []Hospital
	for len(list) < 3000 { // as many as a large country has
		e := hospital(fmt.Sprint(len(list)), 43+rng.Float64()*6, -1+rng.Float64()*7, EmergencyUnknown)
		if e.validate() == nil && e.Country == "FR" {
			list = append(list, e)
		}
	}
	large, err := New(list, DefaultRadiusKm)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("National", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f, _, _ := large.Nearest(46.5, 2.5)
			sink = f.ID
		}
	})
}
