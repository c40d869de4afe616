package places

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Report says what became of the rows of an import.
type Report struct {
	Read    int
	Kept    int
	Skipped map[string]int // by reason
}

// Why an import leaves a row out.
const (
	SkipNotHospital  = "not_a_hospital"
	SkipNoName       = "no_name"
	SkipNoPlace      = "no_place"
	SkipOutside      = "outside_the_country"
	SkipInvalid      = "invalid"
	SkipTwice        = "twice"
	SkipSpeciality   = "other_speciality" // an eye or a psychiatric hospital that doesn't say it takes emergencies
	SkipNotOperating = "not_operating"
)

func (r *Report) skip(reason string) {
	if r.Skipped == nil {
		r.Skipped = make(map[string]int)
	}
	r.Skipped[reason]++
}

// take adds a row that is right and not there yet.
func (r *Report) take(list []Hospital, ids map[string]bool, e Hospital) ([]Hospital, error) {
	switch {
	case ids[e.ID]:
		r.skip(SkipTwice)
		return list, nil
	case !e.valid():
		r.skip(SkipInvalid)
		return list, nil
	case len(list) == MaxHospitals:
		return nil, fmt.Errorf("more than %d hospitals", MaxHospitals)
	}
	ids[e.ID] = true
	r.Kept++
	return append(list, e), nil
}

// ImportOSM reads an OpenStreetMap extract: what an Overpass query with
// `out center` answers, or GeoJSON made of it (osmium export, Overpass Turbo).
// Hospitals without a name, closed ones, and those of another speciality are
// left out; emergency is what the tag of that name says, and unknown where there
// is none. checked is the month of the extract. The data is under the Open
// Database License: whoever publishes it names OpenStreetMap.
func ImportOSM(r io.Reader, checked string) ([]Hospital, Report, error) {
	var report Report
	if !checkedPattern.MatchString(checked) {
		return nil, report, errors.New("places: checked must be a month: 2026-11")
	}
	all, err := io.ReadAll(bound(r))
	if err != nil {
		return nil, report, err
	}
	var list []Hospital
	ids := make(map[string]bool)
	take := func(o osmObject, err error) error {
		if err != nil {
			return err
		}
		report.Read++
		e, reason := o.hospital(checked)
		if reason != "" {
			report.skip(reason)
			return nil
		}
		list, err = report.take(list, ids, e)
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(all))
	if hasKey(all, "elements") {
		_, err = eachElement(dec, "elements", func() error { return take(decodeElement(dec)) })
	} else {
		_, err = eachElement(dec, "features", func() error { return take(decodeFeature(dec)) })
	}
	if err != nil {
		return nil, report, fmt.Errorf("places: %w", err)
	}
	return list, report, nil
}

// hasKey looks for a key of the outermost object.
func hasKey(doc []byte, key string) bool {
	dec := json.NewDecoder(bytes.NewReader(doc))
	if expect(dec, '{') != nil {
		return false
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return false
		}
		if name == key {
			return true
		}
		var skipped json.RawMessage
		if dec.Decode(&skipped) != nil {
			return false
		}
	}
	return false
}

// osmObject is a node, way or relation, however it was written.
type osmObject struct {
	id       string // node/123
	placed   bool
	lat, lng float64
	tags     map[string]string
}

func decodeElement(dec *json.Decoder) (osmObject, error) {
	var e struct {
		Type   string   `json:"type"`
		ID     int64    `json:"id"`
		Lat    *float64 `json:"lat"`
		Lon    *float64 `json:"lon"`
		Center *struct {
			Lat float64 `json:"lat"`
			Lon float64 `json:"lon"`
		} `json:"center"`
		Tags map[string]string `json:"tags"`
	}
	if err := dec.Decode(&e); err != nil {
		return osmObject{}, err
	}
	o := osmObject{id: e.Type + "/" + strconv.FormatInt(e.ID, 10), tags: e.Tags}
	switch {
	case e.Lat != nil && e.Lon != nil:
		o.placed, o.lat, o.lng = true, *e.Lat, *e.Lon
	case e.Center != nil:
		o.placed, o.lat, o.lng = true, e.Center.Lat, e.Center.Lon
	}
	return o, nil
}

func decodeFeature(dec *json.Decoder) (osmObject, error) {
	var f struct {
		ID       any `json:"id"`
		Geometry *struct {
			Coordinates json.RawMessage `json:"coordinates"`
		} `json:"geometry"`
		Properties map[string]any `json:"properties"`
	}
	if err := dec.Decode(&f); err != nil {
		return osmObject{}, err
	}
	o := osmObject{tags: make(map[string]string)}
	properties := f.Properties
	if nested, ok := properties["tags"].(map[string]any); ok {
		properties = nested
	}
	for k, v := range properties {
		if s, ok := v.(string); ok {
			o.tags[k] = s
		}
	}
	o.id = text(f.ID)
	if o.id == "" {
		o.id = text(f.Properties["@id"])
	}
	if f.Geometry != nil {
		o.lat, o.lng, o.placed = middle(f.Geometry.Coordinates)
	}
	return o, nil
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// middle is the middle of the box around a geometry of any kind: a hospital's
// grounds are small.
func middle(coordinates json.RawMessage) (lat, lng float64, ok bool) {
	var doc any
	if json.Unmarshal(coordinates, &doc) != nil {
		return 0, 0, false
	}
	west, south, east, north := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	var walk func(v any)
	walk = func(v any) {
		a, isArray := v.([]any)
		if !isArray || len(a) == 0 {
			return
		}
		x, isNumber := a[0].(float64)
		if !isNumber {
			for _, inner := range a {
				walk(inner)
			}
			return
		}
		if len(a) < 2 {
			return
		}
		y, isNumber := a[1].(float64)
		if !isNumber {
			return
		}
		west, east = min(west, x), max(east, x)
		south, north = min(south, y), max(north, y)
	}
	walk(doc)
	// A box of more than a few kilometres is no hospital.
	if !(east >= west && east-west < 0.2 && north-south < 0.1) {
		return 0, 0, false
	}
	return (south + north) / 2, (west + east) / 2, true
}

// hospital is the object as one, or the reason why it is none.
func (o osmObject) hospital(checked string) (Hospital, string) {
	if o.tags["amenity"] != "hospital" && o.tags["healthcare"] != "hospital" {
		return Hospital{}, SkipNotHospital
	}
	for _, key := range []string{"disused", "abandoned", "demolished", "construction", "proposed"} {
		if v := o.tags[key]; v != "" && v != "no" {
			return Hospital{}, SkipNotOperating
		}
	}
	if o.tags["operational_status"] == "closed" {
		return Hospital{}, SkipNotOperating
	}
	name := tidy(o.tags["name"])
	if name == "" {
		return Hospital{}, SkipNoName
	}
	if !o.placed || Check(o.lat, o.lng) != nil {
		return Hospital{}, SkipNoPlace
	}
	e := Hospital{
		ID: "osm-" + strings.ReplaceAll(o.id, "/", "-"), Name: name, Lat: o.lat, Lng: o.lng,
		Emergency: EmergencyUnknown, Source: "OpenStreetMap", Checked: checked,
	}
	switch o.tags["emergency"] {
	case "yes":
		e.Emergency = EmergencyYes
	case "no":
		e.Emergency = EmergencyNo
	}
	if s := o.tags["healthcare:speciality"]; s != "" && e.Emergency == EmergencyUnknown &&
		!strings.Contains(s, "general") && !strings.Contains(s, "emergency") {
		return Hospital{}, SkipSpeciality
	}
	for _, key := range []string{"emergency:phone", "phone", "contact:phone"} {
		if e.Phone = phone(o.tags[key]); e.Phone != "" {
			break
		}
	}
	return e, ""
}

// tidy makes one line of words of what people typed.
func tidy(s string) string { return strings.Join(strings.Fields(s), " ") }

// phone is the first of several numbers, where it is written for callers from
// anywhere, or empty: a number that can't be dialled is worse than none.
func phone(s string) string {
	s, _, _ = strings.Cut(s, ";")
	s = tidy(strings.ReplaceAll(s, "(0)", ""))
	if len(s) > 40 || !phonePattern.MatchString(s) {
		return ""
	}
	return s
}
