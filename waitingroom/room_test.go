package waitingroom

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

func TestArrivalOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		ids := n.patients(5)
		if got := n.order(); !slices.Equal(got, ids) {
			t.Fatalf("order %v, want %v", got, ids)
		}
		for i, id := range ids {
			if p := n.get(id); p.Position != i+1 || p.Estimate.Known {
				t.Errorf("ticket %d: position %d, estimate %+v", i, p.Position, p.Estimate)
			}
		}
		n.must(n.Present(n.ctx, scope, ids[2]))
		n.must(n.Admit(n.ctx, scope, doctor, ids[2]))
		n.must(n.Leave(n.ctx, scope, apiKey, ids[0]))
		if got, want := n.order(), []string{ids[1], ids[3], ids[4]}; !slices.Equal(got, want) {
			t.Errorf("order %v, want %v", got, want)
		}
		if c, err := n.Count(n.ctx, scope, "doc"); err != nil || c != 3 {
			t.Errorf("count %d, %v", c, err)
		}
		if p := n.get(ids[2]); p.Position != 0 || p.Ticket.Status != consult.TicketAdmitted {
			t.Errorf("admitted: %+v", p)
		}
	})
}

func TestTheClockOfArrivalsNeverGoesBack(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		first := n.patient("a")
		n.time.add(-10 * time.Minute) // another node's clock is behind
		second := n.patient("b")
		if second.Ticket.Rank <= first.Ticket.Rank || second.Position != 2 {
			t.Errorf("ranks %d, %d; position %d", first.Ticket.Rank, second.Ticket.Rank, second.Position)
		}
	})
}

func TestJoiningTwiceKeepsOnePlace(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		first := n.patient("a")
		n.patient("b")
		again := n.join(JoinRequest{DoctorID: "doc", PatientID: "a", PatientName: "Ada", Reason: "cough"})
		if again.Ticket.ID != first.Ticket.ID || again.Position != 1 {
			t.Fatalf("second join got %s at %d", again.Ticket.ID, again.Position)
		}
		list, err := n.List(n.ctx, scope, "doc")
		if err != nil || len(list) != 2 {
			t.Fatalf("list %v, %v", list, err)
		}
		if got := list[0].Ticket; got.PatientName != "Ada" || got.Reason != "cough" {
			t.Errorf("new details are not in the queue: %q", got.Reason)
		}
		if got := n.join(JoinRequest{DoctorID: "doc", PatientID: "a"}); got.Ticket.Reason != "cough" {
			t.Error("joining without details dropped them")
		}
	})
}

func TestJoinFollowsToAnotherSession(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		first := n.patient("a")
		n.patient("b")
		n.must(n.Present(n.ctx, scope, first.Ticket.ID))
		c, err := n.calls.Create(n.ctx, scope, apiKey, consult.CreateRequest{DoctorID: "doc", PatientID: "a"})
		if err != nil {
			t.Fatal(err)
		}
		moved := n.join(JoinRequest{SessionID: c.ID, Reason: "cough"})
		if moved.Ticket.SessionID != c.ID || moved.Position != 1 || moved.Ticket.Status != consult.TicketReady ||
			!moved.Ticket.JoinedAt.Equal(first.Ticket.JoinedAt) || moved.Ticket.Reason != "cough" {
			t.Errorf("moved: %+v", moved)
		}
		if got := n.order(); len(got) != 2 || got[0] != moved.Ticket.ID {
			t.Errorf("order %v", got)
		}
		// Without a session asked for, the ticket stays where it is.
		if got := n.join(JoinRequest{DoctorID: "doc", PatientID: "a"}); got.Ticket.ID != moved.Ticket.ID {
			t.Errorf("joined as %s", got.Ticket.ID)
		}
		back := n.join(JoinRequest{SessionID: first.Ticket.SessionID})
		if back.Ticket.SessionID != first.Ticket.SessionID || back.Position != 1 {
			t.Errorf("moved back: %+v", back)
		}
		if p, err := n.ForSession(n.ctx, scope, first.Ticket.SessionID); err != nil || p.Ticket.ID != back.Ticket.ID {
			t.Errorf("ticket of the session: %+v, %v", p, err)
		}
	})
}

func TestJoinOfAnAdmittedOrFinishedSession(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		p := n.patient("a")
		session := p.Ticket.SessionID
		n.must(n.Admit(n.ctx, scope, doctor, p.Ticket.ID))
		if again := n.join(JoinRequest{SessionID: session}); again.Ticket.ID != p.Ticket.ID || again.Ticket.Status != consult.TicketAdmitted {
			t.Errorf("joined as %+v", again.Ticket.Status)
		}
		if again, err := n.Admit(n.ctx, scope, doctor, p.Ticket.ID); err != nil || again.Ticket.Version != 2 {
			t.Errorf("admitting twice: %+v, %v", again, err)
		}
		if _, err := n.calls.Activate(n.ctx, scope, session, doctor); err != nil {
			t.Fatal(err)
		}
		if again := n.join(JoinRequest{DoctorID: "doc", PatientID: "a"}); again.Ticket.ID != p.Ticket.ID {
			t.Errorf("joined as %s during the call", again.Ticket.ID)
		}
		if _, err := n.Leave(n.ctx, scope, apiKey, p.Ticket.ID); err == nil {
			t.Error("an admitted ticket was left")
		}
		if _, err := n.calls.End(n.ctx, scope, session, doctor, consult.EndedByDoctor); err != nil {
			t.Fatal(err)
		}
		_, err := n.Join(n.ctx, scope, apiKey, JoinRequest{SessionID: session})
		wantConflict(t, err, consult.ReasonEnded)

		c, err := n.calls.Create(n.ctx, scope, apiKey, consult.CreateRequest{DoctorID: "doc", PatientID: "b"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.calls.Cancel(n.ctx, scope, c.ID, apiKey, consult.CancelledByCaller); err != nil {
			t.Fatal(err)
		}
		_, err = n.Join(n.ctx, scope, apiKey, JoinRequest{SessionID: c.ID})
		wantConflict(t, err, consult.ReasonCancelled)
		if _, err = n.Join(n.ctx, scope, apiKey, JoinRequest{SessionID: c.ID, PatientID: "x"}); !consult.HasCode(err, consult.ValidationError) {
			t.Errorf("another patient's session: %v", err)
		}
		if _, err = n.Join(n.ctx, scope, apiKey, JoinRequest{SessionID: "vs_none"}); !consult.HasCode(err, consult.NotFound) {
			t.Errorf("no session: %v", err)
		}
	})
}

func TestGrace(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		ids := n.patients(3)
		n.must(n.Present(n.ctx, scope, ids[0]))
		n.must(n.Present(n.ctx, scope, ids[1]))
		n.must(n.Away(n.ctx, scope, ids[0]))
		n.must(n.Away(n.ctx, scope, ids[1]))
		n.time.add(2 * time.Minute)
		n.must(n.Present(n.ctx, scope, ids[1])) // back in time
		n.must(n.Away(n.ctx, scope, ids[1]))    // and away again: a new grace
		n.time.add(time.Minute)
		if err := n.Sweep(n.ctx); err != nil {
			t.Fatal(err)
		}
		if got, want := n.order(), ids[1:]; !slices.Equal(got, want) {
			t.Fatalf("order %v, want %v", got, want)
		}
		gone := n.get(ids[0])
		if gone.Ticket.Status != consult.TicketExpired {
			t.Errorf("ticket is %s", gone.Ticket.Status)
		}
		_, err := n.Present(n.ctx, scope, ids[0])
		wantConflict(t, err, consult.ReasonTicketClosed)
		c, err := n.calls.Get(n.ctx, scope, gone.Ticket.SessionID)
		if err != nil || c.Status != consult.Waiting {
			t.Errorf("the consultation is %v, %v", c, err)
		}
		back := n.join(JoinRequest{SessionID: gone.Ticket.SessionID})
		if back.Ticket.ID == ids[0] || back.Position != 3 {
			t.Errorf("joined again as %s at %d", back.Ticket.ID, back.Position)
		}
	})
}

func TestDeclineCancelsTheConsultation(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		p := n.patient("a")
		got, err := n.Decline(n.ctx, scope, doctor, p.Ticket.ID, "")
		if err != nil || got.Ticket.Status != consult.TicketDeclined || got.Position != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		c, err := n.calls.Get(n.ctx, scope, p.Ticket.SessionID)
		if err != nil || c.Status != consult.Cancelled || c.Reason != consult.CancelledByDecline || c.TokenEpoch != 1 {
			t.Errorf("consultation %+v, %v", c, err)
		}
		if got := n.order(); len(got) != 0 {
			t.Errorf("still waiting: %v", got)
		}
	})
}

func TestScopesAreApart(t *testing.T) {
	n := newClinic(t).node("", nil)
	p := n.patient("a")
	for _, other := range []consult.Scope{{AccountID: "acc_2", Mode: consult.Test}, {AccountID: "acc_1", Mode: consult.Live}} {
		if _, err := n.Get(n.ctx, other, p.Ticket.ID); !consult.HasCode(err, consult.NotFound) {
			t.Errorf("get: %v", err)
		}
		if _, err := n.Admit(n.ctx, other, doctor, p.Ticket.ID); !consult.HasCode(err, consult.NotFound) {
			t.Errorf("admit: %v", err)
		}
		if list, err := n.List(n.ctx, other, "doc"); err != nil || len(list) != 0 {
			t.Errorf("list: %v, %v", list, err)
		}
	}
}

func TestEstimateLearnsTheDoctor(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		// Each patient is there before the doctor is free, waits half a minute
		// for the admission, and is seen for ten minutes.
		var last string
		for i := range samplesNeeded + 2 {
			p := n.patient("pat" + string(rune('a'+i)))
			n.must(n.Present(n.ctx, scope, p.Ticket.ID))
			if last != "" {
				if _, err := n.calls.End(n.ctx, scope, last, doctor, consult.EndedByDoctor); err != nil {
					t.Fatal(err)
				}
			}
			n.time.add(30 * time.Second)
			n.must(n.Admit(n.ctx, scope, doctor, p.Ticket.ID))
			last = p.Ticket.SessionID
			if _, err := n.calls.Activate(n.ctx, scope, last, doctor); err != nil {
				t.Fatal(err)
			}
			n.time.add(10 * time.Minute)
		}
		p := n.patient("next")
		e := p.Estimate
		if !e.Known || e.Low > e.High {
			t.Fatalf("busy doctor: %+v", e)
		}
		if _, err := n.calls.End(n.ctx, scope, last, doctor, consult.EndedByDoctor); err != nil {
			t.Fatal(err)
		}
		n.time.add(time.Minute)
		e = n.get(p.Ticket.ID).Estimate
		if !e.Known || e.Expected > 2*time.Minute || e.Expected < 10*time.Second {
			t.Errorf("free doctor, first in the queue: %+v", e)
		}
		second := n.patient("after")
		if e = second.Estimate; !e.Known || e.Low < 5*time.Minute || e.High > 30*time.Minute {
			t.Errorf("second in the queue: %+v", e)
		}
	})
}

func TestNotifiedDoctor(t *testing.T) {
	onBoth(t, func(t *testing.T, n *node) {
		p := n.patient("a")
		if p.DoctorNotified {
			t.Error("notified before anyone was")
		}
		if err := n.NotifiedDoctor(n.ctx, scope, p.Ticket.ID); err != nil {
			t.Fatal(err)
		}
		if !n.get(p.Ticket.ID).DoctorNotified {
			t.Error("not noted")
		}
		n.must(n.Present(n.ctx, scope, p.Ticket.ID))
		n.doubt(n.ctx, queue{scope, "doc"}) // a rebuild keeps it
		list, err := n.List(n.ctx, scope, "doc")
		if err != nil || !list[0].DoctorNotified {
			t.Errorf("forgotten: %+v, %v", list, err)
		}
	})
}

func TestRunSweepsUntilItIsStopped(t *testing.T) {
	n := newClinic(t).node("", nil)
	n.cfg.SweepEvery = time.Millisecond
	ids := n.patients(2)
	n.must(n.Present(n.ctx, scope, ids[0]))
	n.must(n.Away(n.ctx, scope, ids[0]))
	ctx, stop := context.WithCancel(n.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Run(ctx)
	}()
	n.time.add(3 * time.Minute)
	n.eventually("the place expires", func() bool {
		return n.get(ids[0]).Ticket.Status == consult.TicketExpired
	})
	n.wantOrder(ids[1:])
	stop()
	receive(n, done)
}
