package places

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

const goodCSV = `id,name,lat,lng,country,phone,emergency,source,checked
a,Hôpital A,48.85,2.35,FR,+33 1 23 45 67 89,yes,test,2026-11
b,Hôpital B,48.95,2.35,,,unknown,test,2026-11
`

const goodGeoJSON = `{"type": "FeatureCollection", "name": "ours", "features": [
{"type": "Feature", "geometry": {"type": "Point", "coordinates": [2.35, 48.85]}, "properties":
{"id": "a", "name": "Hôpital A", "country": "FR", "phone": "+33 1 23 45 67 89", "emergency": "yes", "source": "test", "checked": "2026-11"}},
{"type": "Feature", "id": 7, "geometry": {"type": "Point", "coordinates": [2.35, 48.95, 30]}, "properties":
{"id": "b", "name": "Hôpital B", "emergency": "unknown", "source": "test", "checked": "2026-11"}}]}`

func TestLoad(t *testing.T) {
	t.Parallel()
	var lists [][]Hospital
	for format, doc := range map[Format]string{FormatCSV: goodCSV, FormatGeoJSON: goodGeoJSON} {
		h, err := Load(strings.NewReader(doc), format)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if h.RadiusKm() != DefaultRadiusKm {
			t.Errorf("radius %v", h.RadiusKm())
		}
		lists = append(lists, h.All())
	}
	if !slices.Equal(lists[0], lists[1]) {
		t.Errorf("the same set in two formats:\n%v\n%v", lists[0], lists[1])
	}
	if lists[0][1].Country != "FR" {
		t.Errorf("country %q", lists[0][1].Country)
	}
}

func TestWriteCSVRoundTrip(t *testing.T) {
	t.Parallel()
	want := mustSeed(t).All()
	var out bytes.Buffer
	if err := WriteCSV(&out, want); err != nil {
		t.Fatal(err)
	}
	h, err := Load(&out, FormatCSV)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.All(), want) {
		t.Error("what was written is not what was read")
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format   Format
		old, new string
	}{
		"no such format":            {"xml", "", ""},
		"another header":            {FormatCSV, "lat,lng", "lng,lat"},
		"a column less":             {FormatCSV, ",checked\n", "\n"},
		"a field less":              {FormatCSV, ",yes,test", ",test"},
		"a word for a latitude":     {FormatCSV, "48.85", "north"},
		"infinity":                  {FormatCSV, "48.85", "Inf"},
		"hexadecimal infinity":      {FormatCSV, "48.85", "0x1p9"},
		"a stray quote":             {FormatCSV, "Hôpital A", `Hô"pital`},
		"the same id":               {FormatCSV, "\nb,", "\na,"},
		"no rows":                   {FormatCSV, goodCSV[strings.Index(goodCSV, "\n")+1:], ""},
		"nothing":                   {FormatCSV, goodCSV, ""},
		"not a collection":          {FormatGeoJSON, "FeatureCollection", "Feature"},
		"no features":               {FormatGeoJSON, `"features"`, `"feature"`},
		"an area":                   {FormatGeoJSON, `"Point"`, `"Polygon"`},
		"one coordinate":            {FormatGeoJSON, "[2.35, 48.85]", "[2.35]"},
		"four coordinates":          {FormatGeoJSON, "[2.35, 48.85]", "[2.35, 48.85, 0, 0]"},
		"an unknown property":       {FormatGeoJSON, `"phone"`, `"fax"`},
		"a document after":          {FormatGeoJSON, "}}]}", "}}]} {}"},
		"cut short":                 {FormatGeoJSON, "}}]}", "}}"},
		"a property of another day": {FormatGeoJSON, `"checked": "2026-11"`, `"checked": 2026`},
		"features twice":            {FormatGeoJSON, `"features": [`, `"features": [], "features": [`},
	} {
		doc := goodCSV
		if c.format == FormatGeoJSON {
			doc = goodGeoJSON
		}
		changed := strings.Replace(doc, c.old, c.new, 1)
		if changed == doc && c.old != "" {
			t.Errorf("%s: nothing changed", name)
		}
		if _, err := Load(strings.NewReader(changed), c.format); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestLoadersAreBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size int
		want error
	}{{9, nil}, {10, errTooLarge}, {11, errTooLarge}} {
		_, err := io.ReadAll(&bounded{r: strings.NewReader(strings.Repeat(" ", c.size)), left: 10})
		if !errors.Is(err, c.want) {
			t.Errorf("%d of 10: %v", c.size, err)
		}
	}
	failing := io.MultiReader(strings.NewReader(goodCSV), &broken{})
	if _, err := Load(failing, FormatCSV); !errors.Is(err, errBroken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, errBroken }

const overpass = `{"version": 0.6, "generator": "Overpass API", "osm3s": {"copyright": "ODbL"}, "elements": [
{"type": "node", "id": 1, "lat": 48.85, "lon": 2.35, "tags": {"amenity": "hospital", "name": "Hôpital  A", "emergency": "yes", "phone": "+33 1 23 45 67 89;+33 1"}},
{"type": "way", "id": 2, "center": {"lat": 48.86, "lon": 2.36}, "nodes": [1, 2], "tags": {"amenity": "hospital", "name": "B", "emergency": "no"}},
{"type": "relation", "id": 3, "center": {"lat": 48.87, "lon": 2.37}, "tags": {"healthcare": "hospital", "name": "C", "contact:phone": "01 23 45 67 89"}},
{"type": "node", "id": 4, "lat": 48.85, "lon": 2.35, "tags": {"amenity": "hospital"}},
{"type": "node", "id": 5, "lat": 48.85, "lon": 2.35, "tags": {"amenity": "pharmacy", "name": "P"}},
{"type": "way", "id": 6, "tags": {"amenity": "hospital", "name": "No place"}},
{"type": "node", "id": 7, "lat": 0, "lon": 0, "tags": {"amenity": "hospital", "name": "At sea"}},
{"type": "node", "id": 8, "lat": 48.85, "lon": 2.35, "tags": {"amenity": "hospital", "name": "Eyes", "healthcare:speciality": "ophthalmology"}},
{"type": "node", "id": 9, "lat": 48.85, "lon": 2.35, "tags": {"amenity": "hospital", "name": "Eyes, day and night", "healthcare:speciality": "ophthalmology", "emergency": "yes"}},
{"type": "node", "id": 10, "lat": 48.85, "lon": 2.35, "tags": {"amenity": "hospital", "name": "Ruin", "abandoned": "yes"}},
{"type": "node", "id": 1, "lat": 48.85, "lon": 2.35, "tags": {"amenity": "hospital", "name": "Again"}}]}`

const osmGeoJSON = `{"type": "FeatureCollection", "features": [
{"type": "Feature", "id": "way/2", "geometry": {"type": "Polygon", "coordinates": [[[2.35, 48.85], [2.37, 48.85], [2.37, 48.87], [2.35, 48.87], [2.35, 48.85]]]},
 "properties": {"amenity": "hospital", "name": "B", "beds": 20}},
{"type": "Feature", "geometry": {"type": "Point", "coordinates": [2.35, 48.85]}, "properties": {"@id": "node/1", "tags": {"amenity": "hospital", "name": "A", "emergency": "yes"}}},
{"type": "Feature", "id": 3, "geometry": {"type": "Polygon", "coordinates": [[[0, 45], [5, 45], [5, 50], [0, 45]]]}, "properties": {"amenity": "hospital", "name": "As large as a country"}},
{"type": "Feature", "id": 4, "geometry": null, "properties": {"amenity": "hospital", "name": "Nowhere"}}]}`

func TestImportOSM(t *testing.T) {
	t.Parallel()
	list, report, err := ImportOSM(strings.NewReader(overpass), "2026-11")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s %s %s %q %s", e.ID, e.Name, e.Emergency, e.Phone, e.Country))
	}
	want := []string{
		`osm-node-1 Hôpital A yes "+33 1 23 45 67 89" FR`, `osm-way-2 B no "" FR`, `osm-relation-3 C unknown "" FR`,
		`osm-node-9 Eyes, day and night yes "" FR`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if want := map[string]int{
		SkipNoName: 1, SkipNotHospital: 1, SkipNoPlace: 1, SkipInvalid: 1, SkipSpeciality: 1, SkipNotOperating: 1, SkipTwice: 1,
	}; report.Read != 11 || report.Kept != 4 || !maps.Equal(report.Skipped, want) {
		t.Errorf("%+v", report)
	}
	if _, err := New(list, DefaultRadiusKm); err != nil {
		t.Errorf("what was imported can't be used: %v", err)
	}

	list, report, err = ImportOSM(strings.NewReader(osmGeoJSON), "2026-11")
	if err != nil || len(list) != 2 || report.Skipped[SkipNoPlace] != 2 {
		t.Fatalf("%v, %+v, %v", list, report, err)
	}
	if b := list[0]; b.ID != "osm-way-2" || DistanceKm(b.Lat, b.Lng, 48.86, 2.36) > 0.01 || b.Emergency != EmergencyUnknown {
		t.Errorf("%+v", b)
	}
	if a := list[1]; a.ID != "osm-node-1" || a.Emergency != EmergencyYes {
		t.Errorf("%+v", a)
	}
	for _, doc := range []string{"", "[]", "{}", `{"elements": {}}`, `{"elements": [{"id": "x"}]}`, `{"features": [1]}`, overpass + "{}"} {
		if _, _, err := ImportOSM(strings.NewReader(doc), "2026-11"); err == nil {
			t.Errorf("%q is taken", clip(doc))
		}
	}
	if _, _, err := ImportOSM(strings.NewReader(overpass), "today"); err == nil {
		t.Error("today is no month")
	}
}

const table = "\ufeffno;nom;lat;lon;tel;urgences\n" +
	"75001;HÔPITAL A ;48,85;2,35;+33 1 23 45 67 89;OUI\n" +
	"75002;B;48,86;2,36;0123456789;non\n" +
	"75003;C;48,87;2,37;;\n" +
	"13001;Over the border;50,85;4,35;;oui\n" +
	"75004;;48,85;2,35;;oui\n" +
	"75005;No place;;;;oui\n" +
	"75001;Twice;48,85;2,35;;oui\n" +
	"75006;Short\n" +
	"97401;Réunion;-20,8945;55,4495;;oui\n"

func TestImportTable(t *testing.T) {
	t.Parallel()
	m := Mapping{
		Comma: ';', ID: "no", Name: "nom", Lat: "lat", Lng: "lon", Phone: "tel", Emergency: "urgences", Yes: []string{"oui"}, No: []string{"non"},
		Country: "FR", Prefix: "finess", Source: "FINESS", Checked: "2026-11", DecimalComma: true,
	}
	list, report, err := ImportTable(strings.NewReader(table), m)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s %s %s %q %s", e.ID, e.Name, e.Emergency, e.Phone, e.Country))
	}
	want := []string{
		`finess-75001 HÔPITAL A yes "+33 1 23 45 67 89" FR`, `finess-75002 B no "" FR`, `finess-75003 C unknown "" FR`,
		`finess-97401 Réunion yes "" RE`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if want := map[string]int{SkipOutside: 1, SkipNoName: 1, SkipNoPlace: 2, SkipTwice: 1}; report.Read != 9 || !maps.Equal(report.Skipped, want) {
		t.Errorf("%+v", report)
	}
	for name, change := range map[string]func(m *Mapping){
		"no name":          func(m *Mapping) { m.Name = "" },
		"a missing column": func(m *Mapping) { m.Phone = "fax" },
		"a long country":   func(m *Mapping) { m.Country = "FRA" },
		"a quote":          func(m *Mapping) { m.Comma = '"' },
		"no source":        func(m *Mapping) { m.Source = "" },
		"no month":         func(m *Mapping) { m.Checked = "" },
	} {
		bad := m
		change(&bad)
		if _, _, err := ImportTable(strings.NewReader(table), bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// checkSet is what holds of every set that a loader takes.
func checkSet(t *testing.T, h *Hospitals) {
	t.Helper()
	for _, e := range h.All() {
		if err := e.validate(); err != nil {
			t.Fatal(err)
		}
		f, ok, err := h.Nearest(e.Lat, e.Lng)
		if err != nil || ok && f.Emergency == EmergencyNo {
			t.Fatalf("%+v, %v", f, err)
		}
		if !ok && e.Emergency != EmergencyNo {
			t.Fatalf("nothing near %s itself", e.ID)
		}
	}
}

func FuzzLoadCSV(f *testing.F) {
	f.Add(goodCSV)
	f.Fuzz(func(t *testing.T, doc string) {
		if h, err := Load(strings.NewReader(doc), FormatCSV); err == nil {
			checkSet(t, h)
		}
	})
}

func FuzzLoadGeoJSON(f *testing.F) {
	f.Add(goodGeoJSON)
	f.Fuzz(func(t *testing.T, doc string) {
		if h, err := Load(strings.NewReader(doc), FormatGeoJSON); err == nil {
			checkSet(t, h)
		}
	})
}

func FuzzImportOSM(f *testing.F) {
	f.Add(overpass)
	f.Add(osmGeoJSON)
	f.Fuzz(func(t *testing.T, doc string) {
		list, report, err := ImportOSM(strings.NewReader(doc), "2026-11")
		if err != nil {
			return
		}
		checkImport(t, list, report)
	})
}

func FuzzImportTable(f *testing.F) {
	f.Add(table, ';', true)
	f.Add(goodCSV, ',', false)
	f.Fuzz(func(t *testing.T, doc string, comma rune, decimalComma bool) {
		list, report, err := ImportTable(strings.NewReader(doc), Mapping{
			Comma: comma, ID: "no", Name: "nom", Lat: "lat", Lng: "lon", Phone: "tel", Emergency: "urgences",
			Yes: []string{"oui"}, No: []string{"non"}, Source: "fuzz", Checked: "2026-11", DecimalComma: decimalComma,
		})
		if err != nil {
			return
		}
		checkImport(t, list, report)
	})
}

func checkImport(t *testing.T, list []Hospital, report Report) {
	t.Helper()
	skipped := 0
	for _, n := range report.Skipped {
		skipped += n
	}
	if len(list) != report.Kept || report.Read != report.Kept+skipped {
		t.Fatalf("%d rows, %+v", len(list), report)
	}
	h, err := New(list, DefaultRadiusKm)
	if err != nil {
		t.Fatal(err)
	}
	checkSet(t, h)
}
