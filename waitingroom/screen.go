package waitingroom

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/chatmed/chatmed/internal/consult"
)

// Screener looks at what a patient wrote for signs of an emergency. It takes
// milliseconds and no lock, and is safe for concurrent use.
type Screener func(reason string) consult.Screening

const (
	// screenWithin is what joining waits for the screen. It takes a thousandth
	// of that on a machine that is not starved.
	screenWithin = 250 * time.Millisecond
	// screensAtOnce bounds the screens that are late.
	screensAtOnce = 64
)

// screening is a screen under way.
type screening struct {
	found consult.Screening
	// late is nil unless found is still missing.
	late <-chan consult.Screening
}

// screen looks at a reason. A screen that fails or is late never keeps anybody
// out: found is then empty, and what a late one finds goes to s.raiseLate.
// Nothing of the text is logged.
func (s *Service) screen(ctx context.Context, reason string) screening {
	if s.cfg.Screen == nil || reason == "" {
		return screening{}
	}
	select {
	case s.screens <- struct{}{}:
	default:
		s.log.Warn("reason not screened: too many screens at once")
		return screening{}
	}
	out := make(chan consult.Screening, 1)
	go func() { // ends with the screen; nobody waits for one that hangs
		defer func() { <-s.screens }()
		out <- s.screened(reason)
	}()
	limit := time.NewTimer(screenWithin)
	defer limit.Stop()
	select {
	case found := <-out:
		return screening{found: found}
	case <-limit.C:
	case <-ctx.Done():
	}
	s.log.Warn("reason not screened in time; the patient is let in without")
	return screening{late: out}
}

// screened is the screen, and nothing where it panics.
func (s *Service) screened(reason string) (found consult.Screening) {
	defer func() {
		if p := recover(); p != nil {
			// Of the panic only its type: its text may quote the reason.
			s.log.Error("the emergency screen failed", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			found = consult.Screening{}
		}
	}()
	return s.cfg.Screen(reason)
}

// raiseLate waits for a late screen and puts what it found onto the ticket.
func (s *Service) raiseLate(ctx context.Context, sc consult.Scope, actor consult.Actor, id string, late <-chan consult.Screening) {
	if late == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	s.lates.Go(func() { // ends with the screen, or with Close
		select {
		case <-s.closing.Done():
		case found := <-late:
			_, err := s.update(ctx, sc, actor, id, time.Time{}, func(t *consult.Ticket, _ *consult.Consultation, _ time.Time) (bool, error) {
				return t.Status.Open() && t.Screening.Raise(found), nil
			})
			if err != nil {
				s.log.Warn("late screen not noted", "ticket", id, "err", err)
			}
		}
	})
}

// rescreen screens the reason of an open ticket that no screen has seen: it
// failed, or the ticket is older than the screen.
func (s *Service) rescreen(ctx context.Context, actor consult.Actor, t *consult.Ticket) *consult.Ticket {
	if !t.Status.Open() || t.Reason == "" || t.Screening.Urgency != "" {
		return t
	}
	found := s.screen(ctx, t.Reason)
	s.raiseLate(ctx, t.Scope, actor, t.ID, found.late)
	if found.found.Urgency == "" {
		return t
	}
	raised, err := s.update(ctx, t.Scope, actor, t.ID, time.Time{}, func(t *consult.Ticket, _ *consult.Consultation, _ time.Time) (bool, error) {
		return t.Status.Open() && t.Screening.Raise(found.found), nil
	})
	if err != nil {
		s.log.Warn("screen not noted", "ticket", t.ID, "err", err)
		return t
	}
	return raised
}

// Amend replaces the reason that the patient of an open ticket gave, and
// screens it; "" takes the reason away. The urgency never falls by it.
func (s *Service) Amend(ctx context.Context, sc consult.Scope, actor consult.Actor, ticketID, reason string) (*consult.QueuePlace, error) {
	reason, err := cleanText("reason", reason, 0, consult.MaxReasonLength)
	if err != nil {
		return nil, err
	}
	found := s.screen(ctx, reason)
	t, err := s.update(ctx, sc, actor, ticketID, time.Time{}, func(t *consult.Ticket, _ *consult.Consultation, _ time.Time) (bool, error) {
		if !t.Status.Open() {
			return false, closedError(t.Status)
		}
		raised := t.Screening.Raise(found.found)
		if t.Reason == reason {
			return raised, nil
		}
		t.Reason = reason
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	s.raiseLate(ctx, sc, actor, t.ID, found.late)
	return s.placeOf(ctx, t)
}

// emergencyEvent says that a ticket has been found to be an emergency: ids,
// the urgency and the rules, and nothing that the patient wrote.
func emergencyEvent(t *consult.Ticket, actor consult.Actor, at time.Time) consult.Event {
	e := ticketEvent(t, actor, at)
	e.Type = consult.EventEmergencyDetected
	rules := t.Screening.Rules
	if rules == nil {
		rules = []string{}
	}
	e.Data = eventData(map[string]any{
		"urgency": t.Screening.Urgency, "rules": rules, "rule_version": t.Screening.RuleVersion,
		"patient_id": t.PatientID, "source": "waiting_room",
	})
	return e
}
