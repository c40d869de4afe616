package places

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Mapping says which columns of a national list hold what. Only Name, Lat and
// Lng must be named.
type Mapping struct {
	Comma rune // between columns; a comma where it is zero

	ID, Name, Lat, Lng, Phone string // names of columns

	// Emergency names the column that says whether there is an emergency
	// department; Yes and No are what it says, in any case. Anything else, and
	// a list without the column, is unknown.
	Emergency string
	Yes, No   []string

	Country string // of the whole list: rows that lie elsewhere are left out
	Prefix  string // before every id: "finess"
	Source  string // who publishes the list
	Checked string // the month of the list: 2026-11

	// DecimalComma reads 48,8826 as well as 48.8826.
	DecimalComma bool
}

func (m Mapping) check() error {
	switch {
	case m.Name == "" || m.Lat == "" || m.Lng == "":
		return errors.New("the mapping must name the columns of name, lat and lng")
	case m.Country != "" && !isCode(m.Country):
		return errors.New("the mapping's country must be a code of two letters")
	case m.Comma == '"' || m.Comma == '\r' || m.Comma == '\n' || m.Comma == '\ufffd':
		return errors.New("the mapping's comma can't be that")
	case !checkedPattern.MatchString(m.Checked):
		return errors.New("the mapping's checked must be a month: 2026-11")
	}
	return checkText("the mapping's source", m.Source, maxTextRunes)
}

// ImportTable reads a national list of hospitals in any CSV form. Rows that
// can't be used are counted in the report and left out.
func ImportTable(r io.Reader, m Mapping) ([]Hospital, Report, error) {
	var report Report
	if err := m.check(); err != nil {
		return nil, report, fmt.Errorf("places: %w", err)
	}
	rows := csv.NewReader(bound(r))
	rows.LazyQuotes, rows.ReuseRecord, rows.FieldsPerRecord = true, true, -1
	if m.Comma != 0 {
		rows.Comma = m.Comma
	}
	header, err := rows.Read()
	if err != nil {
		return nil, report, fmt.Errorf("places: the header: %w", err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	at := make(map[string]int)
	for _, column := range []string{m.ID, m.Name, m.Lat, m.Lng, m.Phone, m.Emergency} {
		if column == "" {
			continue
		}
		i := slices.Index(header, column)
		if i < 0 {
			return nil, report, fmt.Errorf("places: no column %s", clip(column))
		}
		at[column] = i
	}
	var list []Hospital
	ids := make(map[string]bool)
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return list, report, nil
		}
		if err != nil {
			return nil, report, fmt.Errorf("places: %w", err)
		}
		report.Read++
		cell := func(column string) string {
			if i, ok := at[column]; ok && i < len(row) {
				return tidy(row[i])
			}
			return ""
		}
		e, reason := m.hospital(cell, report.Read)
		if reason != "" {
			report.skip(reason)
			continue
		}
		if list, err = report.take(list, ids, e); err != nil {
			return nil, report, fmt.Errorf("places: %w", err)
		}
	}
}

func (m Mapping) hospital(cell func(string) string, row int) (Hospital, string) {
	e := Hospital{Name: cell(m.Name), Phone: phone(cell(m.Phone)), Emergency: EmergencyUnknown, Source: m.Source, Checked: m.Checked}
	if e.Name == "" {
		return e, SkipNoName
	}
	lat, lng := cell(m.Lat), cell(m.Lng)
	if m.DecimalComma {
		lat, lng = strings.Replace(lat, ",", ".", 1), strings.Replace(lng, ",", ".", 1)
	}
	var err error
	if e.Lat, e.Lng, err = coordinates(lat, lng); err != nil {
		return e, SkipNoPlace
	}
	if m.Country != "" {
		at, ok, err := At(e.Lat, e.Lng)
		if err != nil || !ok || at != m.Country && Sovereign(at) != m.Country {
			return e, SkipOutside
		}
	}
	if e.ID = cell(m.ID); e.ID == "" {
		e.ID = "row-" + strconv.Itoa(row)
	}
	if m.Prefix != "" {
		e.ID = m.Prefix + "-" + e.ID
	}
	says := cell(m.Emergency)
	is := func(s string) bool { return strings.EqualFold(s, says) }
	switch {
	case m.Emergency == "":
	case slices.ContainsFunc(m.Yes, is):
		e.Emergency = EmergencyYes
	case slices.ContainsFunc(m.No, is):
		e.Emergency = EmergencyNo
	}
	return e, ""
}
