package places

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Emergency says whether a hospital is known to have an emergency department.
type Emergency string

// What is known of a hospital's emergency department. Unknown is the honest
// answer of most open data, and is passed on as such.
const (
	EmergencyYes     Emergency = "yes"
	EmergencyNo      Emergency = "no"
	EmergencyUnknown Emergency = "unknown"
)

// Hospital is one place of a data set.
type Hospital struct {
	ID        string    // unique in its data set
	Name      string    // as the people there call it
	Lat, Lng  float64   // of the department, or the site
	Country   string    // the code that At answers for the site
	Phone     string    // with its country code, or empty
	Emergency Emergency // yes, no or unknown
	Source    string    // who says so
	Checked   string    // when that was last looked at: 2026-11
}

// Found is a hospital and how far it is as the crow flies.
type Found struct {
	Hospital
	DistanceKm float64 // to a hundred metres
}

// Radii within which a data set answers. The embedded seed is a sample and no
// directory: at a distance there is nearly always a department it doesn't have,
// so it keeps to the towns it knows.
const (
	SeedRadiusKm    = 30
	DefaultRadiusKm = 100
	MaxRadiusKm     = 200
)

// preferKm is how much further a department that is known may be than a
// hospital of which it isn't known, and still be the one to name.
const preferKm = 10

// MaxHospitals is what a data set may hold.
const MaxHospitals = 200_000

// Hospitals is a data set with its index. It is only read once made.
type Hospitals struct {
	list   []Hospital
	cells  map[cell][]int32 // by whole degrees
	radius float64
}

type cell struct{ lat, lng int16 }

func cellOf(lat, lng float64) cell {
	c := cell{int16(math.Floor(lat)), int16(math.Floor(lng))}
	if c.lng == 180 { // the same meridian as -180
		c.lng = -180
	}
	return c
}

// New checks a list and makes a data set of it. Every row must be right; what
// was wrong names the row. A country that is given must be the one the
// coordinates lie in, or its sovereign, which finds swapped coordinates; one
// that isn't given is looked up.
func New(list []Hospital, radiusKm float64) (*Hospitals, error) {
	if !(radiusKm > 0 && radiusKm <= MaxRadiusKm) {
		return nil, fmt.Errorf("places: a radius of %g km is not within 0 to %d", radiusKm, MaxRadiusKm)
	}
	if len(list) > MaxHospitals {
		return nil, fmt.Errorf("places: more than %d hospitals", MaxHospitals)
	}
	h := &Hospitals{list: slices.Clone(list), cells: make(map[cell][]int32), radius: radiusKm}
	ids := make(map[string]bool, len(list))
	for i := range h.list {
		e := &h.list[i]
		if err := e.validate(); err != nil {
			return nil, fmt.Errorf("places: hospital %d (%s): %w", i+1, clip(e.ID), err)
		}
		if ids[e.ID] {
			return nil, fmt.Errorf("places: hospital %d: id %s twice", i+1, e.ID)
		}
		ids[e.ID] = true
		c := cellOf(e.Lat, e.Lng)
		h.cells[c] = append(h.cells[c], int32(i))
	}
	return h, nil
}

//go:embed data/hospitals.csv
var seedFile []byte

var seed = sync.OnceValues(func() (*Hospitals, error) {
	list, err := readCSV(bytes.NewReader(seedFile))
	if err != nil {
		return nil, err
	}
	return New(list, SeedRadiusKm)
})

// Seed is the embedded data set: well-known emergency departments of large
// cities. An operator replaces it with a complete one (see Load).
func Seed() (*Hospitals, error) { return seed() }

// Len is how many hospitals the set has.
func (h *Hospitals) Len() int { return len(h.list) }

// All is a copy of the set's rows.
func (h *Hospitals) All() []Hospital { return slices.Clone(h.list) }

// RadiusKm is how far off a hospital may be.
func (h *Hospitals) RadiusKm() float64 { return h.radius }

// Nearest is the hospital to name to somebody at a place: the nearest one with
// an emergency department, or the nearest of which that isn't known where it is
// nearer by more than preferKm. It is within the set's radius and on the same
// side of any border that takes a passport. ok is false where there is none.
// The error is a *CoordinateError.
func (h *Hospitals) Nearest(lat, lng float64) (found Found, ok bool, err error) {
	country, _, err := At(lat, lng)
	if err != nil {
		return Found{}, false, err
	}
	known, unknown := int32(-1), int32(-1)
	knownKm, unknownKm := h.radius, h.radius
	h.near(lat, lng, func(i int32) {
		e := &h.list[i]
		if e.Emergency == EmergencyNo || !reachable(country, e.Country) {
			return
		}
		d := DistanceKm(lat, lng, e.Lat, e.Lng)
		switch {
		case e.Emergency == EmergencyYes && (d < knownKm || d == knownKm && h.before(i, known)):
			known, knownKm = i, d
		case e.Emergency == EmergencyUnknown && (d < unknownKm || d == unknownKm && h.before(i, unknown)):
			unknown, unknownKm = i, d
		}
	})
	i, km := known, knownKm
	if known < 0 || unknown >= 0 && unknownKm+preferKm < knownKm {
		i, km = unknown, unknownKm
	}
	if i < 0 {
		return Found{}, false, nil
	}
	return Found{Hospital: h.list[i], DistanceKm: math.Round(km*10) / 10}, true, nil
}

// before orders hospitals at the same distance, so that the answer doesn't hang
// on the order of the file.
func (h *Hospitals) before(i, j int32) bool { return j < 0 || h.list[i].ID < h.list[j].ID }

// near calls f with every hospital within the radius, and some beyond.
func (h *Hospitals) near(lat, lng float64, f func(int32)) {
	const kmPerDegree = earthRadiusKm * math.Pi / 180
	reach := h.radius / kmPerDegree
	south, north := max(-90, lat-reach), min(90, lat+reach)
	// A degree of longitude is shortest at the edge nearer to a pole.
	width := 180.0
	if edge := max(-south, north); edge < 89 {
		width = min(180, reach/math.Cos(edge*math.Pi/180))
	}
	west, east := int(math.Floor(lng-width)), int(math.Floor(lng+width))
	east = min(east, west+359)
	for y := int16(math.Floor(south)); y <= int16(math.Floor(north)); y++ {
		for x := west; x <= east; x++ {
			for _, i := range h.cells[cell{y, int16((x+540)%360 - 180)}] {
				f(i)
			}
		}
	}
}

// Borders that nobody is stopped at on the way to a hospital: the Schengen area
// with the states inside it, and the Common Travel Area.
var (
	schengen = strings.Fields("AT AX BE BG CH CZ DE DK EE ES FI FR GR HR HU IS IT LI LT LU LV MC MT NL NO PL PT RO SE SI SK SM VA")
	travel   = strings.Fields("GB GG IE IM JE")
)

// reachable says whether somebody in one country can be sent to a hospital of
// another.
func reachable(from, to string) bool {
	if from == to {
		return true
	}
	return slices.Contains(schengen, from) && slices.Contains(schengen, to) ||
		slices.Contains(travel, from) && slices.Contains(travel, to)
}

var (
	phonePattern   = regexp.MustCompile(`^\+[1-9][0-9]{0,3}( ?[0-9()-]{1,8}){1,7}$`)
	checkedPattern = regexp.MustCompile(`^20[0-9]{2}-(0[1-9]|1[0-2])$`)
)

const (
	maxIDRunes   = 80
	maxTextRunes = 200
)

// validate checks one row and fills in the country.
func (e *Hospital) validate() error {
	if err := checkText("id", e.ID, maxIDRunes); err != nil {
		return err
	}
	if err := checkText("name", e.Name, maxTextRunes); err != nil {
		return err
	}
	if err := checkText("source", e.Source, maxTextRunes); err != nil {
		return err
	}
	if err := Check(e.Lat, e.Lng); err != nil {
		return err
	}
	if e.Phone != "" && (len(e.Phone) > 40 || !phonePattern.MatchString(e.Phone)) {
		return errors.New("phone must be like +33 1 49 95 65 65, or empty")
	}
	switch e.Emergency {
	case EmergencyYes, EmergencyNo, EmergencyUnknown:
	default:
		return errors.New("emergency must be yes, no or unknown")
	}
	if !checkedPattern.MatchString(e.Checked) {
		return errors.New("checked must be a month: 2026-11")
	}
	at, ok, err := At(e.Lat, e.Lng)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("the coordinates are in no country")
	}
	if e.Country != "" && e.Country != at && e.Country != Sovereign(at) {
		return fmt.Errorf("country is %s and the coordinates are in %s", clip(e.Country), at)
	}
	e.Country = at
	return nil
}

func (e *Hospital) valid() bool { return e.validate() == nil }

func checkText(field, s string, limit int) error {
	switch {
	case strings.TrimSpace(s) == "":
		return fmt.Errorf("%s is missing", field)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%s has characters that are no text", field)
	case s != strings.TrimSpace(s):
		return fmt.Errorf("%s has spaces around it", field)
	case utf8.RuneCountInString(s) > limit:
		return fmt.Errorf("%s is longer than %d characters", field, limit)
	}
	return nil
}

// clip makes a value of a file short and harmless enough for a message.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
