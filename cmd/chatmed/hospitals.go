package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/chatmed/chatmed/internal/clinical/emergency/places"
	"github.com/chatmed/chatmed/internal/config"
)

// hospitals turns a list of hospitals of somebody else into the form that
// CHATMED_HOSPITALS_FILE takes.
func hospitals(_ context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || args[0] != "import" {
		return errors.New("hospitals needs a command: hospitals import --from osm|table --in FILE --out FILE")
	}
	fs := flag.NewFlagSet("chatmed hospitals import", flag.ContinueOnError)
	from := fs.String("from", "osm", "osm (Overpass answer or GeoJSON) or table (CSV of any columns)")
	in := fs.String("in", "", "file to read")
	file := fs.String("out", "", "new CSV file to write")
	m := places.Mapping{Yes: []string{"yes", "true", "1", "oui", "نعم"}, No: []string{"no", "false", "0", "non", "لا"}}
	fs.StringVar(&m.Checked, "checked", time.Now().UTC().Format("2006-01"), "month of the list")
	fs.StringVar(&m.ID, "id", "id", "table: column of the id")
	fs.StringVar(&m.Name, "name", "name", "table: column of the name")
	fs.StringVar(&m.Lat, "lat", "lat", "table: column of the latitude")
	fs.StringVar(&m.Lng, "lng", "lng", "table: column of the longitude")
	fs.StringVar(&m.Phone, "phone", "", "table: column of the telephone number")
	fs.StringVar(&m.Emergency, "emergency", "", "table: column that says whether there is an emergency department")
	yes := fs.String("yes", "", "table: what that column says for yes, separated by commas")
	no := fs.String("no", "", "table: and for no")
	fs.StringVar(&m.Country, "country", "", "table: country of the list, two letters")
	fs.StringVar(&m.Prefix, "prefix", "", "table: put before every id")
	fs.StringVar(&m.Source, "source", "", "table: who publishes the list")
	semicolon := fs.Bool("semicolon", false, "table: columns are separated by semicolons")
	fs.BoolVar(&m.DecimalComma, "decimal-comma", false, "table: 48,8826 instead of 48.8826")
	if err := config.ParseFlags(fs, args[1:]); err != nil {
		return err
	}
	if *in == "" || *file == "" {
		return errors.New("hospitals import needs --in FILE, and --out FILE, a file that does not exist yet")
	}
	if *yes != "" {
		m.Yes = list(*yes)
	}
	if *no != "" {
		m.No = list(*no)
	}
	if *semicolon {
		m.Comma = ';'
	}
	return importHospitals(*from, *in, *file, m, out)
}

func importHospitals(from, in, file string, m places.Mapping, out io.Writer) (err error) {
	r, err := os.Open(in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var (
		all    []places.Hospital
		report places.Report
	)
	switch from {
	case "osm":
		all, report, err = places.ImportOSM(r, m.Checked)
	case "table":
		all, report, err = places.ImportTable(r, m)
	default:
		return fmt.Errorf("unknown form %q: osm or table", from)
	}
	if err != nil {
		return err
	}
	w, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(places.WriteCSV(w, all), w.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d of %d rows are in %s%s. Set CHATMED_HOSPITALS_FILE to it.\n", report.Kept, report.Read, file, skipped(report))
	return err
}

// skipped says what was left out, and why.
func skipped(r places.Report) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(r.Skipped)) {
		parts = append(parts, fmt.Sprintf("%d %s", r.Skipped[reason], strings.ReplaceAll(reason, "_", " ")))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; left out: " + strings.Join(parts, ", ")
}
