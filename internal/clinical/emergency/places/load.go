package places

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Format is how a data set of hospitals is written.
type Format string

// The formats that Load reads.
const (
	FormatCSV     Format = "csv"
	FormatGeoJSON Format = "geojson"
)

// maxFileBytes bounds what is read of one file: a country's extract is a few
// megabytes.
const maxFileBytes = 64 << 20

var columns = []string{"id", "name", "lat", "lng", "country", "phone", "emergency", "source", "checked"}

// Load reads an operator's data set, which takes the place of the seed. It is
// strict: one wrong row refuses the whole, since a directory with silent holes
// sends people past the nearest hospital. A CSV file has a header with exactly
// id, name, lat, lng, country, phone, emergency, source and checked; GeoJSON is
// a FeatureCollection of points with these as properties. country and phone may
// be empty. The files of others are turned into this form by ImportOSM and
// ImportTable.
func Load(r io.Reader, format Format) (*Hospitals, error) {
	var list []Hospital
	var err error
	switch format {
	case FormatCSV:
		list, err = readCSV(r)
	case FormatGeoJSON:
		list, err = readGeoJSON(r)
	default:
		return nil, fmt.Errorf("places: format must be csv or geojson")
	}
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("places: the data set has no hospital")
	}
	return New(list, DefaultRadiusKm)
}

var errTooLarge = fmt.Errorf("places: the file is larger than %d MiB", maxFileBytes>>20)

// bounded reads at most maxFileBytes, and says so where there is more.
type bounded struct {
	r    io.Reader
	left int64
}

func bound(r io.Reader) io.Reader { return &bounded{r: r, left: maxFileBytes} }

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func readCSV(r io.Reader) ([]Hospital, error) {
	rows := csv.NewReader(bound(r))
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("places: the header: %w", err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // spreadsheets write one
	if !slices.Equal(header, columns) {
		return nil, fmt.Errorf("places: the header must be %s", strings.Join(columns, ","))
	}
	var list []Hospital
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("places: %w", err)
		}
		if len(list) == MaxHospitals {
			return nil, fmt.Errorf("places: more than %d hospitals", MaxHospitals)
		}
		e := Hospital{
			ID: row[0], Name: row[1], Country: row[4], Phone: row[5],
			Emergency: Emergency(row[6]), Source: row[7], Checked: row[8],
		}
		if e.Lat, e.Lng, err = coordinates(row[2], row[3]); err != nil {
			line, _ := rows.FieldPos(2)
			return nil, fmt.Errorf("places: line %d: %w", line, err)
		}
		list = append(list, e)
	}
}

func coordinates(lat, lng string) (y, x float64, err error) {
	if y, err = strconv.ParseFloat(lat, 64); err != nil {
		return 0, 0, &CoordinateError{Field: "lat"}
	}
	if x, err = strconv.ParseFloat(lng, 64); err != nil {
		return 0, 0, &CoordinateError{Field: "lng"}
	}
	return y, x, Check(y, x)
}

// WriteCSV writes rows in the form that Load reads.
func WriteCSV(w io.Writer, list []Hospital) error {
	rows := csv.NewWriter(w)
	if err := rows.Write(columns); err != nil {
		return err
	}
	for _, e := range list {
		if err := rows.Write([]string{
			e.ID, e.Name, strconv.FormatFloat(e.Lat, 'f', -1, 64), strconv.FormatFloat(e.Lng, 'f', -1, 64),
			e.Country, e.Phone, string(e.Emergency), e.Source, e.Checked,
		}); err != nil {
			return err
		}
	}
	rows.Flush()
	return rows.Error()
}

// pointFeature is a feature of our own GeoJSON: nothing in it is unknown.
type pointFeature struct {
	Type     string          `json:"type"`
	ID       json.RawMessage `json:"id"` // many programs add one; ours is in the properties
	Geometry struct {
		Type        string    `json:"type"`
		Coordinates []float64 `json:"coordinates"`
	} `json:"geometry"`
	Properties struct {
		ID        string    `json:"id"`
		Name      string    `json:"name"`
		Country   string    `json:"country"`
		Phone     string    `json:"phone"`
		Emergency Emergency `json:"emergency"`
		Source    string    `json:"source"`
		Checked   string    `json:"checked"`
	} `json:"properties"`
}

func readGeoJSON(r io.Reader) ([]Hospital, error) {
	var list []Hospital
	dec := json.NewDecoder(bound(r))
	dec.DisallowUnknownFields()
	kind, err := eachElement(dec, "features", func() error {
		var f pointFeature
		if err := dec.Decode(&f); err != nil {
			return err
		}
		c := f.Geometry.Coordinates
		switch {
		case f.Type != "Feature" || f.Geometry.Type != "Point" || len(c) < 2 || len(c) > 3:
			return fmt.Errorf("feature %d is no point", len(list)+1)
		case len(list) == MaxHospitals:
			return fmt.Errorf("more than %d hospitals", MaxHospitals)
		}
		p := f.Properties
		list = append(list, Hospital{
			ID: p.ID, Name: p.Name, Lat: c[1], Lng: c[0], Country: p.Country, Phone: p.Phone,
			Emergency: p.Emergency, Source: p.Source, Checked: p.Checked,
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("places: %w", err)
	}
	if kind != "FeatureCollection" {
		return nil, errors.New("places: not a FeatureCollection")
	}
	return list, nil
}

// eachElement walks one JSON object and calls f at every element of the array
// called key, so that a file is never in memory twice. It answers the object's
// type.
func eachElement(dec *json.Decoder, key string, f func() error) (kind string, err error) {
	if err := expect(dec, '{'); err != nil {
		return "", err
	}
	seen := false
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return "", err
		}
		switch name {
		case key:
			if seen {
				return "", fmt.Errorf("%s twice", key)
			}
			seen = true
			if err := expect(dec, '['); err != nil {
				return "", err
			}
			for dec.More() {
				if err := f(); err != nil {
					return "", err
				}
			}
			if err := expect(dec, ']'); err != nil {
				return "", err
			}
		case "type":
			if err := dec.Decode(&kind); err != nil {
				return "", err
			}
		default: // name, crs, bbox, generator, …
			var skipped json.RawMessage
			if err := dec.Decode(&skipped); err != nil {
				return "", err
			}
		}
	}
	if err := expect(dec, '}'); err != nil {
		return "", err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("more than one document")
	}
	if !seen {
		return "", fmt.Errorf("no %s", key)
	}
	return kind, nil
}

func expect(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%s where %s was to be", clip(fmt.Sprint(t)), want)
	}
	return nil
}
