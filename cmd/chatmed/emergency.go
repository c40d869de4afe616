package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chatmed/chatmed/api"
	"github.com/chatmed/chatmed/internal/clinical/emergency"
	"github.com/chatmed/chatmed/internal/clinical/emergency/places"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/signaling"
)

// openEmergency reads the rules and the hospitals.
func (a *app) openEmergency() (err error) {
	if a.emergency, err = emergency.New(); err != nil {
		return err
	}
	a.hospitals, err = hospitalsOf(a.cfg.HospitalsFile)
	return err
}

// hospitalsOf are those of the operator's file, or the embedded ones.
func hospitalsOf(file string) (*places.Hospitals, error) {
	if file == "" {
		return places.Seed()
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("hospitals: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	format := places.FormatCSV
	switch strings.ToLower(filepath.Ext(file)) {
	case ".json", ".geojson":
		format = places.FormatGeoJSON
	}
	h, err := places.Load(f, format)
	if err != nil {
		return nil, fmt.Errorf("hospitals: %s: %w", file, err)
	}
	return h, nil
}

// screen is the emergency screen of the waiting room.
func (a *app) screen(reason string) consult.Screening {
	r := a.emergency.Screen(emergency.Input{Text: reason})
	return api.ScreeningOf(&r)
}

// emergencyLines tells signalling whom to ring.
type emergencyLines struct{ country string } // of patients of whom nobody says it

// Lines are those of a country, or of the server's.
func (l emergencyLines) Lines(country, language string) signaling.EmergencyLines {
	if country == "" {
		country = l.country
	}
	found := api.EmergencyLines(country, language)
	out := signaling.EmergencyLines{Country: found.Country, Numbers: found.Numbers}
	if c := found.Crisis; c != nil {
		out.Crisis = &signaling.Line{Name: c.Name, Number: c.Number, Hours: c.Hours, URL: c.URL}
	}
	return out
}
