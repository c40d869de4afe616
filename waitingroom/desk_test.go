package waitingroom

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/cluster/redistest"
	"github.com/chatmed/chatmed/internal/consult"
	"github.com/chatmed/chatmed/internal/store"
)

// wantField checks a validation error's only field.
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	e := consult.AsError(err)
	if err == nil || e.Code != consult.ValidationError || len(e.Fields) != 1 || e.Fields[0].Field != field {
		t.Errorf("error %v, want a complaint about %s", err, field)
	}
}

// events are the undelivered ones, as the webhooks get them.
func (c *clinic) events() []consult.Event {
	c.tb.Helper()
	pending, err := c.db.(*store.Store).PendingEvents(c.ctx, 10_000)
	if err != nil {
		c.tb.Fatal(err)
	}
	out := []consult.Event{}
	for _, p := range pending {
		out = append(out, p.Event)
	}
	return out
}

func (c *clinic) lastEvents(n int) []string {
	all := c.events()
	out := []string{}
	for _, e := range all[max(0, len(all)-n):] {
		out = append(out, string(e.Type))
	}
	return out
}

func TestMove(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		ids := n.patients(4)
		a, b, c, d := ids[0], ids[1], ids[2], ids[3]
		for _, s := range []struct {
			id   string
			to   int
			at   int
			want []string
		}{
			{d, 1, 1, []string{d, a, b, c}},
			{d, 1, 1, []string{d, a, b, c}},
			{a, 4, 4, []string{d, b, c, a}},
			{c, 2, 2, []string{d, c, b, a}},
			{d, 99, 4, []string{c, b, a, d}},
		} {
			p, err := n.Move(n.ctx, scope, doctor, s.id, s.to)
			if err != nil || p.Position != s.at {
				t.Fatalf("to %d: position %d, %v", s.to, p.Position, err)
			}
			if got := n.order(); !slices.Equal(got, s.want) {
				t.Fatalf("order %v, want %v", got, s.want)
			}
		}
		// Without the copy in Redis it is the same, and who comes later is behind.
		if err := n.redis.Client().FlushAll(n.ctx).Err(); err != nil {
			t.Fatal(err)
		}
		last := n.patient("late").Ticket.ID
		if got, want := n.order(), []string{c, b, a, d, last}; !slices.Equal(got, want) {
			t.Errorf("order %v, want %v", got, want)
		}
		if got := n.lastEvents(3); got[0] != string(EventMoved) {
			t.Errorf("events %v", got)
		}
		_, err := n.Move(n.ctx, scope, doctor, a, 0)
		wantField(t, err, "position")
		n.must(n.Leave(n.ctx, scope, apiKey, a))
		_, err = n.Move(n.ctx, scope, doctor, a, 1)
		wantConflict(t, err, consult.ReasonTicketClosed)
		_, err = n.Move(n.ctx, consult.Scope{AccountID: "acc_2", Mode: consult.Test}, doctor, b, 1)
		if !consult.HasCode(err, consult.NotFound) {
			t.Errorf("another account: %v", err)
		}
	})
}

func TestManyMovesFromTwoNodes(t *testing.T) {
	srv := redistest.Start(t)
	c := newClinic(t)
	nodes := []*node{c.node(srv.URL(), nil), c.node(srv.URL(), nil)}
	ids := nodes[0].patients(6)
	done := make(chan error, len(nodes))
	for i, n := range nodes {
		go func() {
			var err error
			for k := range 40 {
				_, e := n.Move(n.ctx, scope, doctor, ids[(k+i)%6], 1+(k*5+i)%6)
				err = errors.Join(err, e)
			}
			done <- err
		}()
	}
	for range nodes {
		if err := receive(nodes[0], done); err != nil {
			t.Error(err)
		}
	}
	truth, err := c.db.OpenTickets(c.ctx, scope, "doc")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for _, o := range truth {
		want = append(want, o.ID)
	}
	for _, n := range nodes {
		if got := n.order(); !slices.Equal(got, want) || len(got) != 6 {
			t.Errorf("order %v, SQL says %v", got, want)
		}
	}
}

func TestSendBack(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		ids := n.patients(3)
		n.must(n.Present(n.ctx, scope, ids[1]))
		n.must(n.Admit(n.ctx, scope, doctor, ids[1]))
		waiting, err := n.Admitted(n.ctx, scope, "doc")
		if err != nil || len(waiting) != 1 || waiting[0].ID != ids[1] {
			t.Fatalf("admitted: %v, %v", waiting, err)
		}
		p, err := n.SendBack(n.ctx, scope, doctor, ids[1])
		if err != nil || p.Position != 1 || p.Ticket.Status != consult.TicketReady || p.Ticket.AdmittedAt != nil {
			t.Fatalf("%+v, %v", p, err)
		}
		if got, want := n.order(), []string{ids[1], ids[0], ids[2]}; !slices.Equal(got, want) {
			t.Errorf("order %v, want %v", got, want)
		}
		c, err := n.calls.Get(n.ctx, scope, p.Ticket.SessionID)
		if err != nil || c.AdmittedAt != nil || c.Status != consult.Waiting {
			t.Errorf("consultation %+v, %v", c, err)
		}
		n.must(n.SendBack(n.ctx, scope, doctor, ids[1])) // again: nothing
		// The wait until the next admission is no measure of the doctor.
		n.time.add(time.Hour)
		n.must(n.Admit(n.ctx, scope, doctor, ids[1]))
		if h, err := n.live.place(n.ctx, queue{scope, "doc"}, ids[0]); err != nil || len(h.pickups) != 0 {
			t.Errorf("pickups %v, %v", h.pickups, err)
		}
		if _, err := n.calls.Activate(n.ctx, scope, p.Ticket.SessionID, consult.System); err != nil {
			t.Fatal(err)
		}
		_, err = n.SendBack(n.ctx, scope, doctor, ids[1])
		wantConflict(t, err, consult.ReasonNotWaiting)
	})
}

func TestTransfer(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		ids := n.patients(2)
		n.time.add(time.Second)
		early := n.join(JoinRequest{DoctorID: "doc2", PatientID: "other1"})
		n.time.add(time.Second)
		mine := n.join(JoinRequest{DoctorID: "doc", PatientID: "pat", PatientName: "Pat", Reason: "cough"})
		n.time.add(time.Second)
		late := n.join(JoinRequest{DoctorID: "doc2", PatientID: "other2"})
		n.must(n.Present(n.ctx, scope, mine.Ticket.ID))
		if _, err := n.Message(n.ctx, scope, doctor, mine.Ticket.ID, "I hand you on."); err != nil {
			t.Fatal(err)
		}
		heard := make(chan string, 100)
		for _, d := range []string{"doc", "doc2"} {
			defer n.Watch(scope, d, func() { heard <- d })()
		}
		_, _ = receive(n, heard), receive(n, heard)
		for len(heard) > 0 {
			<-heard
		}

		n.time.add(time.Minute)
		p, err := n.Transfer(n.ctx, scope, doctor, mine.Ticket.ID, "doc2", " Dr. Bo ")
		if err != nil {
			t.Fatal(err)
		}
		if p.Ticket.SessionID != mine.Ticket.SessionID || p.Ticket.ID == mine.Ticket.ID || p.Ticket.Status != consult.TicketReady ||
			p.Ticket.Reason != "cough" || !p.Ticket.JoinedAt.Equal(mine.Ticket.JoinedAt) || p.Position != 2 {
			t.Errorf("the place: %+v", p)
		}
		hears := map[string]bool{}
		for !hears["doc"] || !hears["doc2"] {
			hears[receive(n, heard)] = true
		}
		if got := n.order(); !slices.Equal(got, ids) {
			t.Errorf("the first doctor's queue: %v", got)
		}
		list, err := n.List(n.ctx, scope, "doc2")
		if err != nil || len(list) != 3 || list[0].Ticket.ID != early.Ticket.ID || list[2].Ticket.ID != late.Ticket.ID {
			t.Errorf("the second doctor's queue: %v, %v", list, err)
		}
		if old := n.get(mine.Ticket.ID); old.Ticket.Status != consult.TicketTransferred || old.Position != 0 {
			t.Errorf("the first ticket: %+v", old)
		}
		c, err := n.calls.Get(n.ctx, scope, mine.Ticket.SessionID)
		if err != nil || c.DoctorID != "doc2" || c.DoctorName != "Dr. Bo" || c.TokenEpoch != 0 {
			t.Errorf("the consultation: %+v, %v", c, err)
		}
		if got := n.lastEvents(3); !slices.Equal(got, []string{"waiting_room.transferred", "waiting_room.ready", "tokens.revoked"}) {
			t.Errorf("events %v", got)
		}
		if got, err := n.Messages(n.ctx, scope, c.ID); err != nil || len(got) != 1 {
			t.Errorf("messages %v, %v", got, err)
		}
		// The patient's link finds the new place.
		if again := n.join(JoinRequest{SessionID: c.ID}); again.Ticket.ID != p.Ticket.ID || again.Position != 2 {
			t.Errorf("joined again as %+v", again)
		}
		n.must(n.Admit(n.ctx, scope, consult.Actor{Kind: consult.ActorParticipant, ID: "doc2", Role: consult.Doctor}, p.Ticket.ID))

		for field, call := range map[string]func() error{
			"doctor_id": func() error {
				_, err := n.Transfer(n.ctx, scope, doctor, ids[0], "doc", "")
				return err
			},
			"doctor_name": func() error {
				_, err := n.Transfer(n.ctx, scope, doctor, ids[0], "doc2", strings.Repeat("x", 200))
				return err
			},
		} {
			wantField(t, call(), field)
		}
		_, err = n.Transfer(n.ctx, scope, doctor, ids[0], "no such/doctor", "")
		wantField(t, err, "doctor_id")
		_, err = n.Transfer(n.ctx, scope, doctor, mine.Ticket.ID, "doc3", "")
		wantConflict(t, err, consult.ReasonTicketClosed)
		// Somebody who waits for the other doctor too cannot be handed on to them.
		n.join(JoinRequest{DoctorID: "doc2", PatientID: "pat0"})
		_, err = n.Transfer(n.ctx, scope, doctor, ids[0], "doc2", "")
		wantConflict(t, err, consult.ReasonOpenConsultation)
		if got := n.order(); !slices.Equal(got, ids) {
			t.Errorf("a refused transfer changed the queue: %v", got)
		}
	})
}

// A consultation that was handed on makes the second doctor busy, not the first.
func TestEstimatesAfterATransfer(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		for range 6 { // both doctors' consultations take ten minutes
			for _, d := range []string{"doc", "doc2"} {
				n.time.add(time.Second)
				p := n.join(JoinRequest{DoctorID: d, PatientID: "p"})
				n.must(n.Present(n.ctx, scope, p.Ticket.ID))
				n.must(n.Admit(n.ctx, scope, doctor, p.Ticket.ID))
				_, err := n.calls.Activate(n.ctx, scope, p.Ticket.SessionID, consult.System)
				n.time.add(10 * time.Minute)
				_, e := n.calls.End(n.ctx, scope, p.Ticket.SessionID, consult.System, consult.EndedByDoctor)
				if err = errors.Join(err, e); err != nil {
					t.Fatal(err)
				}
			}
		}
		first := n.patient("a")
		n.must(n.Admit(n.ctx, scope, doctor, first.Ticket.ID))
		n.must(n.SendBack(n.ctx, scope, doctor, first.Ticket.ID))
		moved, err := n.Transfer(n.ctx, scope, doctor, first.Ticket.ID, "doc2", "")
		if err != nil {
			t.Fatal(err)
		}
		n.must(n.Admit(n.ctx, scope, doctor, moved.Ticket.ID))
		if _, err := n.calls.Activate(n.ctx, scope, moved.Ticket.SessionID, consult.System); err != nil {
			t.Fatal(err)
		}
		n.time.add(time.Minute)
		ids := n.patients(3)
		n.must(n.Move(n.ctx, scope, doctor, ids[2], 1))
		list, err := n.List(n.ctx, scope, "doc")
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range list { // the first waits for nobody, each further one for ten minutes more
			want := time.Duration(i) * 10 * time.Minute
			if e := p.Estimate; i > 0 && (!e.Known || e.Low > want+time.Minute || e.High < want-time.Minute) {
				t.Errorf("position %d: %+v, want about %v", i+1, e, want)
			}
		}
		other := n.join(JoinRequest{DoctorID: "doc2", PatientID: "b"})
		if e := other.Estimate; !e.Known || e.Expected < 7*time.Minute || e.Expected > 11*time.Minute {
			t.Errorf("behind the transferred call: %+v", e)
		}
	})
}

func TestMessagesAndReasonsStayWithThePatient(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		const secret = "sehr vertraulich"
		ids := n.patients(3)
		var told []string
		stop := n.redis.Bus().Subscribe(consult.SessionTopic(n.get(ids[0]).Ticket.SessionID), func(b []byte) { told = append(told, string(b)) })
		defer stop()
		if p, err := n.Message(n.ctx, scope, doctor, ids[0], "  "+secret+"\x07\n1 "); err != nil || p.Position != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		if count, err := n.MessageAll(n.ctx, scope, doctor, "doc", secret+" 2"); err != nil || count != 3 {
			t.Fatalf("told %d, %v", count, err)
		}
		got, err := n.Messages(n.ctx, scope, n.get(ids[0]).Ticket.SessionID)
		if err != nil || len(got) != 2 || got[0].Text != secret+"\n1" || got[1].Text != secret+" 2" {
			t.Errorf("messages %+v, %v", got, err)
		}
		if got, err := n.Messages(n.ctx, scope, n.get(ids[1]).Ticket.SessionID); err != nil || len(got) != 1 {
			t.Errorf("messages %+v, %v", got, err)
		}
		declined, err := n.Decline(n.ctx, scope, doctor, ids[1], secret+" 3")
		if err != nil || declined.Ticket.Status != consult.TicketDeclined {
			t.Fatalf("%+v, %v", declined, err)
		}
		n.must(n.Decline(n.ctx, scope, doctor, ids[1], "again")) // changes nothing
		if why, err := n.DeclineReason(n.ctx, scope, declined.Ticket.SessionID); err != nil || why != secret+" 3" {
			t.Errorf("reason %q, %v", why, err)
		}
		all, err := json.Marshal(n.events())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(all), secret) {
			t.Error("an event holds what the patient was told")
		}
		if got := strings.Count(string(all), string(EventMessage)); got != 4 {
			t.Errorf("%d message events", got)
		}
		for _, bad := range []string{"", " \n ", strings.Repeat("x", MaxMessage+1), "\xff"} {
			_, err := n.Message(n.ctx, scope, doctor, ids[0], bad)
			wantField(t, err, "text")
			_, err = n.MessageAll(n.ctx, scope, doctor, "doc", bad)
			wantField(t, err, "text")
		}
		_, err = n.MessageAll(n.ctx, scope, doctor, "a b", "x")
		wantField(t, err, "doctor_id")
		_, err = n.Decline(n.ctx, scope, doctor, ids[0], strings.Repeat("x", MaxDecline+1))
		wantField(t, err, "reason")
		_, err = n.Message(n.ctx, scope, doctor, ids[1], "late")
		wantConflict(t, err, consult.ReasonTicketClosed)
		if count, err := n.MessageAll(n.ctx, scope, doctor, "nobody", "x"); err != nil || count != 0 {
			t.Errorf("told %d, %v", count, err)
		}
	})
}

func (n *node) presence() consult.DoctorPresence {
	n.tb.Helper()
	p, err := n.Presence(n.ctx, scope, "doc")
	if err != nil {
		n.tb.Fatal(err)
	}
	return p
}

func TestPresence(t *testing.T) {
	srv := redistest.Start(t)
	c := newClinic(t)
	a, b := c.node(srv.URL(), nil), c.node(srv.URL(), nil)
	heard := make(chan consult.DoctorPresence, 100)
	defer b.Watch(scope, "doc", func() {
		if p, err := b.Presence(b.ctx, scope, "doc"); err == nil {
			heard <- p
		}
	})()
	if p := receive(a, heard); p.Presence != consult.Available || p.Online || !p.UpdatedAt.IsZero() {
		t.Fatalf("at first: %+v", p)
	}
	sweep := func(n *node) {
		t.Helper()
		if err := n.Sweep(n.ctx); err != nil {
			t.Fatal(err)
		}
	}
	sweep(b)
	until := func(what string, ok func(consult.DoctorPresence) bool) {
		t.Helper()
		for {
			if ok(receive(a, heard)) {
				return
			}
		}
	}
	leave := a.Attend(c.ctx, scope, "doc")
	until("online", func(p consult.DoctorPresence) bool { return p.Online })
	got, err := a.SetPresence(a.ctx, scope, doctor, "doc", consult.Away)
	if err != nil || got.Presence != consult.Away || !got.Online || !got.UpdatedAt.Equal(c.time.Now()) {
		t.Fatalf("%+v, %v", got, err)
	}
	until("away", func(p consult.DoctorPresence) bool { return p.Presence == consult.Away })

	// Renewed at each sweep, however long the page is open.
	for range 5 {
		c.time.add(pageFor - time.Second)
		sweep(a)
	}
	if !b.presence().Online {
		t.Error("an open page ran out")
	}
	sweep(b)
	// A reload is not told; a page that stays closed is.
	leave()
	leave = a.Attend(c.ctx, scope, "doc")
	c.time.add(pageLinger + time.Second)
	if !b.presence().Online {
		t.Error("a reload made the doctor go offline")
	}
	leave()
	c.time.add(pageLinger + time.Second)
	sweep(b)
	until("offline", func(p consult.DoctorPresence) bool { return !p.Online })
	if got := c.lastEvents(1); got[0] != string(EventPresence) {
		t.Errorf("events %v", got)
	}

	// A node that dies says nothing any more.
	_ = a.Attend(c.ctx, scope, "doc")
	until("online again", func(p consult.DoctorPresence) bool { return p.Online })
	sweep(b)
	c.time.add(pageFor + time.Second)
	sweep(b)
	until("the dead node's page has run out", func(p consult.DoctorPresence) bool { return !p.Online })

	for field, call := range map[string]func() error{
		"doctor_id": func() error {
			_, err := a.SetPresence(a.ctx, scope, doctor, "a b", consult.Busy)
			return err
		},
		"presence": func() error {
			_, err := a.SetPresence(a.ctx, scope, doctor, "doc", "gone")
			return err
		},
	} {
		wantField(t, call(), field)
	}
	// Without Redis each node knows its own pages.
	srv.Stop()
	leave = b.Attend(context.WithoutCancel(c.ctx), scope, "doc")
	defer leave()
	if !b.presence().Online {
		t.Error("without Redis an open page of this node is not seen")
	}
}
