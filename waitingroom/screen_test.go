package waitingroom

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// fakeScreen finds an emergency by a few words, in the place of the engine.
func fakeScreen(reason string) consult.Screening {
	switch {
	case strings.Contains(reason, "chest pain"):
		return consult.Screening{Urgency: consult.UrgencyCritical, RuleVersion: "1", Rules: []string{"acs"}}
	case strings.Contains(reason, "end it"):
		return consult.Screening{Urgency: consult.UrgencyHigh, RuleVersion: "1", Rules: []string{"suicide"}, Crisis: true}
	case strings.Contains(reason, "explode"):
		panic("of " + reason)
	}
	return consult.Screening{Urgency: consult.UrgencyLow, RuleVersion: "1"}
}

// screened is a node whose reasons are screened.
func screened(t *testing.T, f Screener) *node {
	t.Helper()
	n := newClinic(t).node("", nil)
	n.cfg.Screen = f
	return n
}

// detected are the events that say so, in the outbox.
func (n *node) detected() []consult.Event {
	n.tb.Helper()
	db, ok := n.db.(*store.Store)
	if !ok {
		n.tb.Fatal("not SQL")
	}
	pending, err := db.PendingEvents(n.ctx, 1000)
	if err != nil {
		n.tb.Fatal(err)
	}
	var out []consult.Event
	for _, p := range pending {
		if p.Event.Type == consult.EventEmergencyDetected {
			out = append(out, p.Event)
		}
	}
	return out
}

func TestAReasonIsScreened(t *testing.T) {
	n := screened(t, fakeScreen)
	ask := func(reason string) consult.Screening {
		return n.join(JoinRequest{DoctorID: "doc", PatientID: "a", Reason: reason}).Ticket.Screening
	}
	if s := ask("a cold"); s.Urgency != consult.UrgencyLow || s.RuleVersion != "1" {
		t.Errorf("a cold: %+v", s)
	}
	if got := n.detected(); len(got) != 0 {
		t.Errorf("events of a cold: %+v", got)
	}
	if s := ask("chest pain for an hour"); s.Urgency != consult.UrgencyCritical {
		t.Errorf("chest pain: %+v", s)
	}
	// It can only rise, and the doctor's list has it.
	if s := ask("it is only a cold"); s.Urgency != consult.UrgencyCritical {
		t.Errorf("taken back: %+v", s)
	}
	list, err := n.List(n.ctx, scope, "doc")
	if err != nil || len(list) != 1 || list[0].Ticket.Screening.Urgency != consult.UrgencyCritical || list[0].Ticket.Reason != "it is only a cold" {
		t.Errorf("list %+v, %v", list, err)
	}
	events := n.detected()
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	var data map[string]any
	if err := json.Unmarshal(events[0].Data, &data); err != nil {
		t.Fatal(err)
	}
	if data["urgency"] != "critical" || data["rule_version"] != "1" || data["patient_id"] != "a" || events[0].TicketID != list[0].Ticket.ID {
		t.Errorf("event %+v, data %v", events[0], data)
	}
	if strings.Contains(string(events[0].Data), "pain") {
		t.Errorf("the event has the reason: %s", events[0].Data)
	}
}

// Nobody is moved up in the queue by it: the doctor decides.
func TestAnEmergencyKeepsItsPlace(t *testing.T) {
	n := screened(t, fakeScreen)
	n.patients(2)
	p := n.join(JoinRequest{DoctorID: "doc", PatientID: "z", Reason: "chest pain"})
	if p.Position != 3 {
		t.Errorf("position %d", p.Position)
	}
}

func TestAmend(t *testing.T) {
	n := screened(t, fakeScreen)
	id := n.patient("a").Ticket.ID
	amend := func(reason string) *consult.QueuePlace {
		t.Helper()
		p, err := n.Amend(n.ctx, scope, apiKey, id, reason)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := amend("  I want to \x00end it\n")
	if p.Ticket.Reason != "I want to end it" || p.Ticket.Screening.Urgency != consult.UrgencyHigh || !p.Ticket.Screening.Crisis || p.Position != 1 {
		t.Errorf("amended: %+v", p)
	}
	if p = amend("chest pain"); p.Ticket.Screening.Urgency != consult.UrgencyCritical || !p.Ticket.Screening.Crisis {
		t.Errorf("worse: %+v", p.Ticket.Screening)
	}
	version := p.Ticket.Version
	if p = amend("chest pain"); p.Ticket.Version != version {
		t.Error("the same reason again is a change")
	}
	if p = amend(""); p.Ticket.Reason != "" || p.Ticket.Screening.Urgency != consult.UrgencyCritical {
		t.Errorf("taken away: %+v", p.Ticket)
	}
	if got := n.detected(); len(got) != 2 {
		t.Errorf("%d events", len(got))
	}
	if _, err := n.Amend(n.ctx, scope, apiKey, id, strings.Repeat("a", consult.MaxReasonLength+1)); !consult.HasCode(err, consult.ValidationError) {
		t.Errorf("too long: %v", err)
	}
	n.must(n.Leave(n.ctx, scope, apiKey, id))
	_, err := n.Amend(n.ctx, scope, apiKey, id, "chest pain")
	wantConflict(t, err, consult.ReasonTicketClosed)
}

// The urgency goes along when the ticket is followed by another.
func TestAScreeningFollowsItsPatient(t *testing.T) {
	n := screened(t, fakeScreen)
	first := n.join(JoinRequest{DoctorID: "doc", PatientID: "a", Reason: "chest pain", Country: "FR"})
	next, err := n.Transfer(n.ctx, scope, doctor, first.Ticket.ID, "doc_2", "")
	if err != nil || next.Ticket.Screening.Urgency != consult.UrgencyCritical || next.Ticket.Country != "FR" {
		t.Errorf("after a transfer: %+v, %v", next, err)
	}
	c, err := n.calls.Create(n.ctx, scope, apiKey, consult.CreateRequest{DoctorID: "doc_2", PatientID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	moved := n.join(JoinRequest{SessionID: c.ID})
	if moved.Ticket.ID == next.Ticket.ID || moved.Ticket.Screening.Urgency != consult.UrgencyCritical {
		t.Errorf("in another session: %+v", moved.Ticket)
	}
	if got := n.detected(); len(got) != 1 {
		t.Errorf("%d events", len(got))
	}
}

func TestTheCountryIsTheConsultationsUnlessTold(t *testing.T) {
	n := screened(t, nil)
	c, err := n.calls.Create(n.ctx, scope, apiKey, consult.CreateRequest{DoctorID: "doc", PatientID: "a", Country: "TN"})
	if err != nil {
		t.Fatal(err)
	}
	if p := n.join(JoinRequest{SessionID: c.ID}); p.Ticket.Country != "TN" || p.Ticket.Screening.Urgency != "" {
		t.Errorf("ticket %+v", p.Ticket)
	}
	if p := n.join(JoinRequest{SessionID: c.ID, Country: "MA"}); p.Ticket.Country != "MA" {
		t.Errorf("country %q", p.Ticket.Country)
	}
	if _, err := n.Join(n.ctx, scope, apiKey, JoinRequest{SessionID: c.ID, Country: "Maroc"}); !consult.HasCode(err, consult.ValidationError) {
		t.Errorf("a country that is none: %v", err)
	}
}

// A screen that fails lets the patient in, says so without her words, and is
// tried again when she comes back.
func TestAFailingScreenKeepsNobodyOut(t *testing.T) {
	n := screened(t, fakeScreen)
	var log bytes.Buffer
	n.Service.log = slog.New(slog.NewJSONHandler(&log, nil))
	p := n.join(JoinRequest{DoctorID: "doc", PatientID: "a", Reason: "explode Amina"})
	if p.Position != 1 || p.Ticket.Screening.Urgency != "" {
		t.Errorf("joined: %+v", p)
	}
	if !strings.Contains(log.String(), "screen failed") || strings.Contains(log.String(), "Amina") {
		t.Errorf("log: %s", log.String())
	}
	n.cfg.Screen = func(string) consult.Screening {
		return consult.Screening{Urgency: consult.UrgencyHigh, RuleVersion: "2"}
	}
	if p = n.join(JoinRequest{DoctorID: "doc", PatientID: "a"}); p.Ticket.Screening.Urgency != consult.UrgencyHigh {
		t.Errorf("came back: %+v", p.Ticket.Screening)
	}
}

// A screen that is late does not hold the patient up, and counts all the same.
func TestALateScreen(t *testing.T) {
	let := make(chan struct{})
	n := screened(t, func(string) consult.Screening {
		<-let
		return consult.Screening{Urgency: consult.UrgencyCritical, RuleVersion: "1"}
	})
	p := n.join(JoinRequest{DoctorID: "doc", PatientID: "a", Reason: "chest pain"})
	if p.Position != 1 || p.Ticket.Screening.Urgency != "" {
		t.Errorf("joined: %+v", p)
	}
	close(let)
	n.eventually("the late screen is noted", func() bool { return n.get(p.Ticket.ID).Ticket.Screening.Urgency == consult.UrgencyCritical })
}

// Screens that hang use up their bound and nothing else.
func TestHangingScreensAreBounded(t *testing.T) {
	let := make(chan struct{})
	n := screened(t, func(string) consult.Screening { <-let; return consult.Screening{} })
	defer close(let)
	for range screensAtOnce {
		n.screens <- struct{}{}
	}
	if got := n.screen(n.ctx, "chest pain"); got.late != nil || got.found.Urgency != "" {
		t.Errorf("one more: %+v", got)
	}
	for range screensAtOnce {
		<-n.screens
	}
}
