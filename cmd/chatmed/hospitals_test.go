package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHospitalsImport(t *testing.T) {
	dir := t.TempDir()
	in, file := filepath.Join(dir, "national.csv"), filepath.Join(dir, "hospitals.csv")
	must(t, os.WriteFile(in, []byte("code;nom;latitude;longitude;urgences\n"+
		"1;CHU Nord;48,8826;2,3525;oui\n2;Clinique du Parc;48,8000;2,3000;non\n3;Sans place;;;oui\n"), 0o600))
	args := []string{"import", "--from", "table", "--in", in, "--out", file, "--id", "code", "--name", "nom", "--lat", "latitude",
		"--lng", "longitude", "--emergency", "urgences", "--country", "FR", "--prefix", "nat", "--source", "the ministry",
		"--semicolon", "--decimal-comma", "--checked", "2026-11"}
	var out bytes.Buffer
	must(t, hospitals(t.Context(), args, &out))
	if !strings.Contains(out.String(), "2 of 3 rows") || !strings.Contains(out.String(), "left out: 1 ") {
		t.Errorf("said %q", out.String())
	}
	h, err := hospitalsOf(file)
	must(t, err)
	found, ok, err := h.Nearest(48.80, 2.30)
	must(t, err)
	if !ok || found.Name != "CHU Nord" {
		t.Errorf("the nearest emergency department is %+v, %t", found, ok)
	}
	if err := hospitals(t.Context(), args, &out); err == nil {
		t.Error("an existing file was overwritten")
	}
	if _, err := hospitalsOf(in); err == nil {
		t.Error("a file of another form was loaded")
	}
	for _, bad := range [][]string{nil, {"export"}, {"import"}, {"import", "--from", "fax", "--in", in, "--out", filepath.Join(dir, "x")}} {
		if err := hospitals(t.Context(), bad, &out); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if h, err := hospitalsOf(""); err != nil || h.Len() < 100 {
		t.Errorf("the built-in list: %v", err)
	}
}
