package signaling

import (
	"context"
	"testing"
	"time"

	"github.com/chatmed/chatmed/internal/auth"
	"github.com/chatmed/chatmed/internal/consult"
)

func TestJoinRefusals(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxParticipants = 1 })
	open := w.create("pat_1", nil)
	other := w.create("pat_2", nil)
	cancelled := w.create("pat_3", nil)
	_, err := w.svc.Cancel(t.Context(), w.scope, cancelled.ID, consult.System, consult.CancelledByCaller)
	must(t, err)
	doctor := w.token(open, consult.Doctor, "doc_1")
	for raw, reason := range map[string]string{
		"missing": consult.ReasonTokenMissing, "sig": consult.ReasonTokenSignature, "exp": consult.ReasonTokenExpired,
		"nbf": consult.ReasonTokenNotYetValid, "rev": consult.ReasonTokenRevoked,
	} {
		w.tokens.refuse(raw, consult.Errorf(consult.Unauthorized, reason, "refused"))
	}
	board := w.tokens.put("board", auth.Claims{Kind: auth.KindDashboard, Scope: w.scope, DoctorID: "doc_1"})
	foreign := w.tokens.put("foreign", auth.Claims{
		Kind: auth.KindRoom, Scope: consult.Scope{AccountID: "acc_two", Mode: consult.Live}, SessionID: open.ID, Role: consult.Doctor,
	})
	wrong, unauthorized, conflict := consult.Forbidden, consult.Unauthorized, consult.Conflict
	for name, tt := range map[string]struct {
		message obj
		code    consult.Code
		reason  string
	}{
		"missing":           {obj{"token": "missing"}, unauthorized, consult.ReasonTokenMissing},
		"malformed":         {obj{"token": "nonsense"}, unauthorized, consult.ReasonTokenMalformed},
		"signature":         {obj{"token": "sig"}, unauthorized, consult.ReasonTokenSignature},
		"expired":           {obj{"token": "exp"}, unauthorized, consult.ReasonTokenExpired},
		"not yet valid":     {obj{"token": "nbf"}, unauthorized, consult.ReasonTokenNotYetValid},
		"revoked":           {obj{"token": "rev"}, unauthorized, consult.ReasonTokenRevoked},
		"other session":     {obj{"session_id": other.ID}, wrong, consult.ReasonTokenWrongSession},
		"other role":        {obj{"role": "patient"}, wrong, consult.ReasonTokenWrongRole},
		"integrator silent": {obj{"token": w.token(open, consult.Integrator, "")}, wrong, consult.ReasonTokenWrongRole},
		"dashboard token":   {obj{"token": board}, wrong, consult.ReasonTokenWrongRole},
		"other account":     {obj{"token": foreign}, consult.NotFound, ""},
		"cancelled":         {obj{"token": w.token(cancelled, consult.Doctor, "doc_1"), "session_id": cancelled.ID}, conflict, consult.ReasonCancelled},
		"protocol":          {obj{"protocol": 2}, consult.BadRequest, consult.ReasonProtocol},
		"bad offer":         {obj{"offer": "bad"}, consult.BadRequest, consult.ReasonBadOffer},
	} {
		t.Run(name, func(t *testing.T) {
			cl := w.dial()
			e := cl.refused(with(joinMessage(open, doctor, "d1"), tt.message), tt.code, tt.reason)
			if e["fatal"] != true {
				t.Fatalf("not fatal: %v", e)
			}
			cl.closed(1008)
		})
	}
	t.Run("full", func(t *testing.T) {
		w.enter(open, consult.Doctor, "doc_1")
		cl := w.dial()
		cl.refused(joinMessage(open, w.token(open, consult.Guest, "g"), "g1"), conflict, consult.ReasonRoomFull)
		cl.closed(1008)
	})
	t.Run("first says something else", func(t *testing.T) {
		cl := w.dial()
		for _, typ := range []string{"ready", "end"} {
			cl.refused(obj{"type": typ}, conflict, consult.ReasonNotJoined)
		}
		cl.refused(obj{"type": "nonsense"}, consult.BadRequest, consult.ReasonUnknownType)
		cl.refused(obj{"type": "join", "protocol": 1}, consult.ValidationError, consult.ReasonBadMessage)
		cl.request(obj{"type": "ping"}, "pong")
		cl.send(obj{"type": "leave"})
		cl.closed(1000)
	})
	t.Run("joined twice", func(t *testing.T) {
		cl := w.enter(other, consult.Doctor, "doc_1")
		cl.refused(joinMessage(other, w.token(other, consult.Doctor, "doc_1"), "d1"), consult.BadRequest, consult.ReasonBadMessage)
		cl.refused(obj{"type": "watch", "protocol": 1, "token": board}, consult.BadRequest, consult.ReasonBadMessage)
		cl.refused(obj{"type": "resume", "protocol": 1, "participant_id": "x", "secret": "y"}, consult.BadRequest, consult.ReasonBadMessage)
	})
}

// The API's own session token acts as either side.
func TestIntegratorToken(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	token := w.token(c, consult.Integrator, "key_one")
	doctor := w.dial()
	in := doctor.request(with(joinMessage(c, token, "d1"), obj{"role": "doctor", "display_name": " Dr.\u202e Bob\n "}), "joined")
	p := in["participants"].([]any)[0].(obj)
	if in["role"] != "doctor" || p["name"] != "Dr. Bob" {
		t.Fatalf("joined: %v", in)
	}
	patient := w.dial()
	if m := patient.request(with(joinMessage(c, token, "p1"), obj{"role": "patient"}), "waiting"); m["role"] != "patient" {
		t.Fatalf("waiting: %v", m)
	}
	all, err := w.store.Participations(t.Context(), w.scope, c.ID)
	must(t, err)
	if len(all) != 1 || all[0].Subject != "doc_1" {
		t.Fatalf("participations: %+v", all)
	}
	patient.refused(obj{"type": "admit", "ticket_id": w.ticket(c).ID}, consult.Conflict, consult.ReasonNotJoined)
}

// The same person twice: docs/signaling.md §5.
func TestTakeOver(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.call()
	token := w.token(c, consult.Patient, "pat_1")
	before, secret := patient.id, patient.secret

	t.Run("another page is asked, then takes over", func(t *testing.T) {
		phone := w.dial()
		e := phone.refused(joinMessage(c, token, "phone"), consult.Conflict, consult.ReasonAlreadyConnected)
		if e["fatal"] != false {
			t.Fatal("fatal")
		}
		w.media.mu.Lock()
		old := w.media.of(before)
		w.media.mu.Unlock()
		in := phone.request(with(joinMessage(c, token, "phone"), obj{"take_over": true}), "joined")
		patient.await("moved")
		patient.closed(4001)
		if phone.id != before || phone.secret == secret || in["answer"] != "answer to offer of phone" {
			t.Fatalf("joined: %v", in)
		}
		w.media.mu.Lock()
		if !old.closed || w.media.of(before) == old || w.media.of(before).closed {
			t.Error("the old media is not closed, or the new one is")
		}
		w.media.mu.Unlock()
		patient = phone
	})
	t.Run("the moved page cannot resume", func(t *testing.T) {
		cl := w.dial()
		cl.refused(obj{"type": "resume", "protocol": 1, "participant_id": before, "secret": secret}, consult.NotFound, consult.ReasonResumeUnknown)
	})
	t.Run("a reload takes over at once", func(t *testing.T) {
		again := w.dial()
		again.request(joinMessage(c, token, "phone"), "joined")
		patient.await("moved")
		patient.closed(4001)
		patient = again
	})
	t.Run("a dropped one is taken over at once", func(t *testing.T) {
		patient.drop()
		doctor.await("participants", participantsAre("doctor connected", "patient away"))
		laptop := w.dial()
		laptop.request(joinMessage(c, token, "laptop"), "joined")
		doctor.await("participants", participantsAre("doctor connected", "patient connected"))
		if laptop.id != before {
			t.Fatal("another participant")
		}
	})
	if all, err := w.store.Participations(t.Context(), w.scope, c.ID); err != nil || len(all) != 2 {
		t.Fatalf("participations: %+v %v", all, err)
	}
}

func TestTakeOverWhileWaiting(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	token := w.token(c, consult.Patient, "pat_1")
	one, two := w.dial(), w.dial()
	first := one.request(joinMessage(c, token, "one"), "waiting")
	two.refused(joinMessage(c, token, "two"), consult.Conflict, consult.ReasonAlreadyConnected)
	second := two.request(with(joinMessage(c, token, "two"), obj{"take_over": true}), "waiting")
	one.await("moved")
	one.closed(4001)
	if first["waiting"].(obj)["ticket_id"] != second["waiting"].(obj)["ticket_id"] {
		t.Fatal("another ticket")
	}
	_, err := w.queue.Admit(t.Context(), w.scope, consult.System, w.ticket(c).ID)
	must(t, err)
	if m := two.await("admitted"); m["answer"] != "answer to offer of two" {
		t.Fatalf("admitted: %v", m)
	}
}

// Someone who takes over while the answer is being made gets their own.
func TestTakeOverWhileEntering(t *testing.T) {
	w := newWorld(t)
	c := w.create("pat_1", nil)
	token := w.token(c, consult.Doctor, "doc_1")
	one := w.dial()
	one.send(with(joinMessage(c, token, "one"), obj{"offer": "held"}))
	w.media.until(t, "the offer is being answered", func() bool { return w.media.holding == 1 })
	two := w.dial()
	two.refused(joinMessage(c, token, "two"), consult.Conflict, consult.ReasonAlreadyConnected)
	id := two.send(with(joinMessage(c, token, "two"), obj{"take_over": true}))
	one.await("moved")
	close(w.media.gate)
	in := two.await("joined", func(m obj) bool { return m["id"] == id })
	if in["answer"] != "answer to offer of two" {
		t.Fatalf("joined: %v", in)
	}
	w.media.until(t, "one leg open", func() bool {
		open := 0
		for _, l := range w.media.legs {
			if !l.closed {
				open++
			}
		}
		return open == 1
	})
}

// A withdrawn token is out at once, wherever it is used.
func TestEpoch(t *testing.T) {
	w := newWorld(t)
	c, doctor, patient := w.call()
	_, err := w.store.UpdateConsultation(t.Context(), w.scope, c.ID, func(c *consult.Consultation) ([]consult.Event, error) {
		c.TokenEpoch++
		return []consult.Event{{
			ID: consult.NewID(consult.PrefixEvent), Type: consult.EventTokensRevoked, Scope: w.scope,
			Actor: consult.System, SessionID: c.ID, DoctorID: c.DoctorID, At: w.clock.Now(),
		}}, nil
	})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, w.rdb.Bus().Publish(ctx, consult.SessionTopic(c.ID), []byte(`{}`)))
	for _, cl := range []*client{doctor, patient} {
		if e := cl.await("error"); e["reason"] != consult.ReasonTokenRevoked || e["fatal"] != true {
			t.Fatalf("error: %v", e)
		}
		cl.closed(1008)
	}
	w.clock.armed(t, w.cfg.EmptyGrace, 1)
	w.clock.advance(w.cfg.EmptyGrace + time.Second)
	w.eventually("ended", func() bool { return w.read(c).Status == consult.Ended })
}
