package consult

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

func TestExtend(t *testing.T) {
	s, store, now := newService()
	c := make1(t, s, "key_1", "pat")
	extend := func(until time.Time) (*Consultation, error) { return s.Extend(t.Context(), scope, c.ID, who, until) }
	got, err := extend(start.Add(5 * time.Hour))
	if err != nil || !got.ExpiresAt.Equal(start.Add(5*time.Hour)) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err = extend(start.Add(5 * time.Hour)); err != nil || len(store.events) != 2 || store.events[1].Type != EventConsultationExtended {
		t.Errorf("the same again: %v, events %v", err, store.events)
	}
	for _, bad := range []time.Time{start, start.Add(-time.Hour), start.Add(MaxScheduleAhead + time.Second), {}} {
		_, err := extend(bad)
		wantCode(t, err, ValidationError)
	}
	if _, err = extend(start.Add(MaxScheduleAhead)); err != nil {
		t.Error(err)
	}
	if _, err = extend(start.Add(time.Minute)); err != nil { // earlier than it was
		t.Error(err)
	}
	now.at = start.Add(time.Minute) // too late now
	_, err = extend(start.Add(time.Hour))
	wantCode(t, err, Conflict)
	_, err = s.Extend(t.Context(), scope, "vs_none", who, start.Add(time.Hour))
	wantCode(t, err, NotFound)
}

func TestMetadata(t *testing.T) {
	s, store, _ := newService()
	c := make1(t, s, "key_1", "pat")
	set := func(m map[string]string) (*Consultation, error) {
		return s.SetMetadata(t.Context(), scope, c.ID, who, m)
	}
	full := map[string]string{}
	for i := range MaxMetadata {
		full[fmt.Sprint("k", i)] = "v"
	}
	for _, step := range []struct {
		change, want map[string]string
		wrong        string // field
	}{
		{change: map[string]string{"ward": "B", "case.no-1_x": strings.Repeat("é", 500)}, want: map[string]string{"ward": "B", "case.no-1_x": strings.Repeat("é", 500)}},
		{change: map[string]string{"case.no-1_x": "", "none": ""}, want: map[string]string{"ward": "B"}},
		{change: nil, want: map[string]string{"ward": "B"}},
		{change: map[string]string{"": "x"}, wrong: "metadata"},
		{change: map[string]string{strings.Repeat("k", 41): "x"}, wrong: "metadata"},
		{change: map[string]string{"a b": ""}, wrong: "metadata"},
		{change: map[string]string{"é": "x"}, wrong: "metadata"},
		{change: map[string]string{"a": strings.Repeat("x", 501)}, wrong: "metadata.a"},
		{change: map[string]string{"a": "\xff"}, wrong: "metadata.a"},
		{change: map[string]string{"a": "\x00"}, wrong: "metadata.a"},
		{change: full, wrong: "metadata"}, // one more than fifty with ward
		{change: map[string]string{"ward": ""}, want: nil},
		{change: full, want: full},
	} {
		got, err := set(step.change)
		if step.wrong != "" {
			if e := AsError(err); e.Code != ValidationError || e.Fields[0].Field != step.wrong {
				t.Errorf("%.60v: %v", step.change, err)
			}
			continue
		}
		if err != nil || !maps.Equal(got.Metadata, step.want) {
			t.Errorf("%.60v: %.60v, %v", step.change, got, err)
		}
	}
	for _, e := range store.events {
		if strings.Contains(string(e.Data), "ward") {
			t.Errorf("an event tells the metadata: %s", e.Data)
		}
	}
	_, err := s.Create(t.Context(), scope, who, CreateRequest{DoctorID: "d", PatientID: "p", Metadata: map[string]string{"a b": "x"}})
	wantCode(t, err, ValidationError)
	made, err := s.Create(t.Context(), scope, who, CreateRequest{DoctorID: "d", PatientID: "p", Metadata: map[string]string{"a": "x", "b": ""}})
	if err != nil || !maps.Equal(made.Metadata, map[string]string{"a": "x"}) {
		t.Errorf("made %+v, %v", made, err)
	}
}

func TestFindOrCreate(t *testing.T) {
	s, store, now := newService()
	r := CreateRequest{DoctorID: "doc", PatientID: "pat"}
	first, err := s.FindOrCreate(t.Context(), scope, who, r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.FindOrCreate(t.Context(), scope, who, r)
	if err != nil || again.ID != first.ID || len(store.events) != 1 {
		t.Errorf("found %+v, %v", again, err)
	}
	now.at = first.ExpiresAt
	later, err := s.FindOrCreate(t.Context(), scope, who, r)
	if err != nil || later.ID == first.ID {
		t.Errorf("an expired one was found: %v", err)
	}
	_, err = s.FindOrCreate(t.Context(), scope, who, CreateRequest{DoctorID: "a b", PatientID: "pat"})
	wantCode(t, err, ValidationError)
	items, next, err := s.List(t.Context(), scope, ConsultationFilter{}, Page{Limit: 1})
	if err != nil || len(items) != 1 || next == "" {
		t.Errorf("%d listed, next %q, %v", len(items), next, err)
	}
}

func TestEndOfKey(t *testing.T) {
	s, _, _ := newService()
	active, waiting, other := make1(t, s, "key_1", "a"), make1(t, s, "key_1", "b"), make1(t, s, "key_2", "c")
	_, err := s.store.UpdateConsultation(t.Context(), scope, active.ID, func(c *Consultation) ([]Event, error) {
		if err := c.Admit(start); err != nil {
			return nil, err
		}
		_, err := c.Activate(start)
		return []Event{{}}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for want := 2; want >= 0; want -= 2 { // a second time there is nothing left
		if n, err := s.EndOfKey(t.Context(), scope, "key_1", System); err != nil || n != want {
			t.Errorf("%d ended, %v; want %d", n, err, want)
		}
	}
	for id, want := range map[string]Status{active.ID: Ended, waiting.ID: Cancelled, other.ID: Waiting} {
		c, err := s.Get(t.Context(), scope, id)
		if err != nil || c.Status != want || (want != Waiting) != (c.TokenEpoch == 1) {
			t.Errorf("%s: %+v, %v; want %s", id, c, err, want)
		}
	}
}
