// Package places answers where somebody is in terms that matter in an
// emergency: which country's numbers apply at a pair of coordinates, what those
// numbers are, and which hospital with an emergency department is near. It
// carries its data with it and does no input or output but what it is handed.
//
// It prefers saying nothing to guessing: an area that nobody's borders cover
// has no country, a country whose numbers are not known for certain has no
// entry, and a hospital that is not known to take emergencies says so. The
// data, its sources and its gaps are described in docs/clinical/places.md.
package places

import "math"

//go:generate go run gen/main.go $BORDERS data/borders.bin

// CoordinateError says that a latitude or a longitude is none. It does not
// repeat the value, since a place where somebody is may be logged with it.
type CoordinateError struct {
	Field string // lat or lng
}

func (e *CoordinateError) Error() string {
	if e.Field == "lat" {
		return "lat must be a number from -90 to 90"
	}
	return "lng must be a number from -180 to 180"
}

// Check says whether a pair of coordinates is one on Earth.
func Check(lat, lng float64) error {
	if !(lat >= -90 && lat <= 90) { // false for NaN too
		return &CoordinateError{Field: "lat"}
	}
	if !(lng >= -180 && lng <= 180) {
		return &CoordinateError{Field: "lng"}
	}
	return nil
}

// earthRadiusKm is the mean radius of the Earth (IUGG R1).
const earthRadiusKm = 6371.0088

// DistanceKm is the great-circle distance (haversine). The Earth's flattening
// makes it wrong by half a percent at most.
func DistanceKm(lat1, lng1, lat2, lng2 float64) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((lat2 - lat1) * rad / 2)
	sinLng := math.Sin((lng2 - lng1) * rad / 2)
	h := sinLat*sinLat + math.Cos(lat1*rad)*math.Cos(lat2*rad)*sinLng*sinLng
	return 2 * earthRadiusKm * math.Asin(math.Sqrt(min(1, h)))
}
