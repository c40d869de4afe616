package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestHospitalsOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	seed, err := hospitalsOf("")
	if err != nil || seed.Len() < 100 {
		t.Errorf("the embedded ones: %v", err)
	}
	const header = "id,name,lat,lng,country,phone,emergency,source,checked\n"
	h, err := hospitalsOf(write("h.csv", header+"fr-1,Hôpital Lariboisière,48.8831,2.3531,FR,,yes,AP-HP,2026-11\n"))
	if err != nil || h.Len() != 1 {
		t.Errorf("a CSV file: %v", err)
	}
	h, err = hospitalsOf(write("h.GeoJSON", `{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Point",
		"coordinates":[2.3531,48.8831]},"properties":{"id":"fr-1","name":"Hôpital Lariboisière","emergency":"yes","source":"AP-HP","checked":"2026-11"}}]}`))
	if err != nil || h.Len() != 1 {
		t.Errorf("a GeoJSON file: %v", err)
	}
	for _, file := range []string{filepath.Join(dir, "missing.csv"), write("bad.csv", header+"fr-1,,1,1,FR,,yes,x,2026-11\n")} {
		if _, err := hospitalsOf(file); err == nil || !strings.Contains(err.Error(), "hospitals: ") {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}

func TestEmergencyLines(t *testing.T) {
	t.Parallel()
	server := emergencyLines{country: "TN"}
	if l := server.Lines("", "ar"); l.Country != "TN" || l.Numbers[0] != "190" {
		t.Errorf("of the server: %+v", l)
	}
	if l := server.Lines("FR", "en"); l.Country != "FR" || l.Numbers[0] != "15" || l.Crisis == nil || l.Crisis.Number != "3114" {
		t.Errorf("of France: %+v", l)
	}
	if l := (emergencyLines{}).Lines("", "en"); l.Country != "" || !slices.Equal(l.Numbers, []string{"112", "911"}) || l.Crisis != nil {
		t.Errorf("of nowhere: %+v", l)
	}
}
